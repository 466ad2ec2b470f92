"""Inflation of files in archives up to a limit, whatever size they declare."""

import zipfile
from collections.abc import Iterator
from typing import IO

PIECE = 1 << 20  # bytes that are inflated at a time
# Methods of ZIP files of which zipfile inflates no more than it is asked for.
BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class LongerThanAllowed(Exception):
    """The content has more bytes than it may have."""


def pieces(source: IO[bytes], most: int) -> Iterator[bytes]:
    """Yield the content piece by piece; raise LongerThanAllowed once it has more than ``most`` bytes."""
    if most < 0:
        raise LongerThanAllowed
    while piece := source.read(min(PIECE, most + 1)):
        most -= len(piece)
        if most < 0:
            raise LongerThanAllowed
        yield piece
