"""Checksums of stored originals: ``images/<exam id>/<image id>/original.sha256``, as sha256sum(1) writes them.

An original that is to be compressed soon has none until then. While it is replaced the file has one line for the
previous and one for the next content, so that it is right at every moment.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from birads_app.files import atomic

NAME = "original.sha256"
_LINE = re.compile(r"([0-9a-f]{64})  \S+")


def write_new(original: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write the checksum of an original into a folder that nobody sees yet, without flushing it to disk."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    original.with_name(NAME).write_bytes(as_text(original.name, {digest.hexdigest()}))


def write(original: Path, digests: Iterable[str]) -> None:
    """Replace the accepted checksums of an original in one step."""
    atomic.write(original.with_name(NAME), as_text(original.name, digests), sync=True)


def read(folder: Path) -> set[str]:
    """Return the accepted SHA-256 of the original in an image's folder, in hexadecimal; empty if there is none."""
    try:
        lines = (folder / NAME).read_text("ascii").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return set()
    return {match[1] for match in map(_LINE.fullmatch, lines) if match}


def of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def as_text(name: str, digests: Iterable[str]) -> bytes:
    """Return the content of a checksum file."""
    return "".join(f"{digest}  {name}\n" for digest in sorted(digests)).encode()
