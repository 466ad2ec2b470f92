"""Objects in a bucket of an S3-compatible store, reached through fsspec; names are relative to the setting's prefix.

An object appears whole or not at all. Whatever the store answers, callers see FileNotFoundError or FilesUnavailable.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from birads_app.records.errors import FilesUnavailable
from birads_app.records.write_failures import text_of
from birads_app.terms.messages import msg

log = logging.getLogger(__name__)

_CONNECT_S, _READ_S, _ATTEMPTS = 5, 60, 2
_PART_BYTES = 8 << 20  # of a large object, of which a store takes 10,000 parts


@dataclass(frozen=True)
class StoredObject:
    """An object in a listing: its name, its size in bytes, and when it was stored."""

    name: str
    size: int
    stored_at: datetime


class Bucket:
    """A bucket, or the part of it below a prefix.

    Endpoint, region and credentials come from the usual ``AWS_*`` variables. Nothing is imported or connected before
    the first use, which may be in any thread.
    """

    def __init__(self, url: str) -> None:
        self._root = url.removeprefix("s3://").rstrip("/")

    @property
    def name(self) -> str:
        """Address for messages."""
        return f"s3://{self._root}"

    def check(self) -> None:
        """Raise FilesUnavailable unless the store answers, knows the credentials and has the bucket."""
        with _translated():
            name = self._root.partition("/")[0]
            try:
                self._store.call_s3("head_bucket", Bucket=name)
            except FileNotFoundError:
                raise ConnectionError(f"there is no bucket {name}") from None

    def send(self, path: Path, name: str) -> None:
        """Store a file as an object, a large one in parts, so that it is never in memory as a whole."""
        with _translated():
            self._store.put_file(str(path), self._key(name), chunksize=_PART_BYTES, max_concurrency=1)

    def write(self, name: str, data: bytes) -> None:
        """Store an object."""
        with _translated():
            self._store.pipe_file(self._key(name), data)

    def fetch(self, name: str, path: Path) -> None:
        """Write an object into a new file; raises FileNotFoundError."""
        with _translated():
            self._store.get_file(self._key(name), str(path), max_concurrency=1)

    def read(self, name: str) -> bytes:
        """Return an object; raises FileNotFoundError."""
        with _translated():
            content: bytes = self._store.cat_file(self._key(name), max_concurrency=1)
            return content

    def copy(self, name: str, target: str) -> None:
        """Copy an object within the store; raises FileNotFoundError."""
        with _translated():
            self._store.cp_file(self._key(name), self._key(target))

    def remove(self, *names: str) -> None:
        """Remove objects, as far as they are there."""
        with _translated():
            for name in names:
                self._store.rm_file(self._key(name))

    def listing(self, prefix: str = "") -> Sequence[StoredObject]:
        """Return the objects whose names begin with the prefix, by name."""
        with _translated():
            found = self._store.find(self._root, prefix=prefix, detail=True)
        start = len(self._root) + 1
        return sorted(
            (
                StoredObject(key[start:], int(info["size"]), info["LastModified"])
                for key, info in found.items()
            ),
            key=lambda one: one.name,
        )

    @cached_property
    def _store(self) -> Any:
        import fsspec

        return fsspec.filesystem(
            "s3",
            skip_instance_cache=True,
            use_listings_cache=False,
            config_kwargs={
                "connect_timeout": _CONNECT_S,
                "read_timeout": _READ_S,
                "retries": {"max_attempts": _ATTEMPTS},
            },
        )

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}"


@contextmanager
def _translated() -> Iterator[None]:
    """Raise FilesUnavailable for every failure of the store but a missing object; the log names its kind."""
    try:
        yield
    except FileNotFoundError as error:
        if "specified bucket" not in str(error):
            raise
        raise _unavailable(error) from error
    except Exception as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> FilesUnavailable:
    log.error("The object store failed: %s: %s", type(error).__name__, text_of(error))
    return FilesUnavailable(msg("files-unavailable"))
