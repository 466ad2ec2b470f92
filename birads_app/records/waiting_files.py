"""Files that wait to become exams, whatever place they are in: for backups, and to move them to another place."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WaitingFile:
    """A received object, or an upload.

    name : below the instance folder, as in a backup
    opened : gives a copy, whose time is that of its arrival, during a block; raises FileNotFoundError once it has
        become part of an exam
    """

    name: str
    opened: Callable[[], AbstractContextManager[Path]]


@contextmanager
def first_of(*paths: Path) -> Iterator[Path]:
    """Yield the first of several paths at which there is a file; raises FileNotFoundError."""
    for path in paths:
        if path.exists():
            yield path
            return
    raise FileNotFoundError(paths[0])
