"""Assemble encapsulated pixel data into one codestream for each frame (PS3.5 A.4).

pydicom.encaps.generate_frames is not used, because it is less tolerant: it trusts every Basic Offset Table, and so
returns empty or merged frames for a table that is unsorted, points between fragments or lists another number of
frames; it searches for the end of a codestream in 10 bytes only; and it copies every fragment.
``tests/imaging/test_encapsulation.py`` shows each case.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise

from birads_app.terms.errors import UnreadableImage
from birads_app.terms.messages import msg

_END = b"\xff\xd9"  # end of JPEG, JPEG-LS and JPEG 2000 codestreams
_PADDING = 16  # bytes of padding after it that are tolerated


def encapsulated_frames(parts: Sequence[memoryview], count: int) -> list[memoryview]:
    """Join fragments into frames; frames of one fragment, the usual case, are not copied.

    Parameters
    ----------
    fragments : Basic Offset Table, which may be empty, and fragments
    count : number of frames declared in the header

    Raises
    ------
    UnreadableImage
        The fragments do not make up this number of frames.
    """
    table, *fragments = parts or (memoryview(b""),)
    if count == 1:
        groups = [fragments]
    elif len(fragments) == count:
        groups = [[fragment] for fragment in fragments]
    else:
        groups = _by_offsets(table, fragments) or _by_ends(fragments)
    if len(groups) != count or not fragments:
        raise UnreadableImage(
            msg(
                "dicom-frames-mismatch",
                count=count,
                fragments=len(fragments),
                groups=len(groups) if fragments else 0,
            )
        )
    return [group[0] if len(group) == 1 else memoryview(b"".join(group)) for group in groups]


def is_whole(frame: memoryview) -> bool:
    """Return True if a codestream ends with the marker of JPEG, JPEG-LS and JPEG 2000."""
    return _END in bytes(frame[-_PADDING:])


def _by_offsets(table: memoryview, fragments: list[memoryview]) -> list[list[memoryview]]:
    """Group fragments by the Basic Offset Table; returns no group if it is empty or does not fit the fragments."""
    starts, position = {}, 0
    for index, fragment in enumerate(fragments):
        starts[position] = index
        position += 8 + len(fragment)
    offsets = [offset for (offset,) in struct.iter_unpack("<I", table[: len(table) // 4 * 4])]
    if not offsets or offsets != sorted(offsets) or not starts.keys() >= set(offsets):
        return []
    first = [starts[offset] for offset in offsets]
    return [fragments[this:following] for this, following in pairwise([*first, len(fragments)])]


def _by_ends(fragments: list[memoryview]) -> list[list[memoryview]]:
    """Group fragments by the ends of codestreams."""
    groups: list[list[memoryview]] = [[]]
    for fragment in fragments:
        groups[-1].append(fragment)
        if is_whole(fragment):
            groups.append([])
    return groups if groups[-1] else groups[:-1]
