"""A new model's name, held while the model is made; and what killed trainings left in the folder, swept."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from birads_app.model import bundles
from training.errors import NameTaken, TrainingError


@contextmanager
def hold_name(models: Path, name: str) -> Iterator[None]:
    """Hold a new model's name while it is made, against other trainings on this machine.

    The lock ends with the process, however it ends; what killed trainings left in the folder is removed.

    Raises
    ------
    BundleError
        The name cannot be a model's.
    NameTaken
        A model has the name, or a training that runs now has reserved it.
    TrainingError
        The folder cannot be written.
    """
    bundles.check_name(name)
    if (models / name).exists():
        raise NameTaken(f"There is already a model named {name}. Choose another --name.")
    _sweep(models)
    handle = _lock(models, name)
    if handle is None:
        raise NameTaken(f"Another training of a model named {name} is running. Choose another --name.")
    try:
        yield
    finally:
        _unlock(models, name, handle)


def _lock(models: Path, name: str) -> int | None:
    """Lock a name; None where another process holds it."""
    path = models / f".{name}.lock"
    try:
        models.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise TrainingError(f"Models cannot be written to {models}: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before may have removed the file between our opening and locking it.
        if os.fstat(handle).st_ino != path.stat().st_ino:
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError):
        os.close(handle)
        return None
    return handle


def _unlock(models: Path, name: str, handle: int) -> None:
    (models / f".{name}.lock").unlink(missing_ok=True)
    os.close(handle)


def _sweep(models: Path) -> None:
    """Remove the locks of trainings that were killed, and their drafts of bundles."""
    for path in models.glob(".*.lock"):
        name = path.name[1:].removesuffix(".lock")
        handle = _lock(models, name)
        if handle is not None:
            for draft in models.glob(f".{name}-????????"):
                shutil.rmtree(draft, ignore_errors=True)
            _unlock(models, name, handle)
