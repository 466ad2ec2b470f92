"""Assemble encapsulated pixel data into one codestream for each frame (PS3.5 A.4).

pydicom.encaps.generate_frames is not used, because it is less tolerant: it trusts every Basic Offset Table, and so
returns empty or merged frames for a table that is unsorted, points between fragments or lists another number of
frames; it searches for the end of a codestream in 10 bytes only; and it copies every fragment.
``tests/imaging/test_encapsulation.py`` shows each case.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise

from birads_app.terms.errors import UnreadableImage
from birads_app.terms.messages import msg

_STARTS = (b"\xff\xd8", b"\xff\x4f")  # of JPEG and JPEG-LS; of JPEG 2000
_END = b"\xff\xd9"  # of all three; coded data never contains it
_TAIL = 64  # bytes that are searched for the end first
_JP2 = b"\x00\x00\x00\x0cjP  "  # start of a JPEG 2000 file
_JP2_HEAD = 1 << 16  # bytes of it that are searched for the codestream
_J2K = b"\xff\x4f\xff\x51"

ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


def items_of(value: memoryview) -> Iterator[memoryview]:
    """Yield the items of encapsulated pixel data: the offset table, then the fragments.

    Raises UnreadableImage if an item extends beyond the file.
    """
    position = 0
    while position + 8 <= len(value):
        tag, length = (
            value[position : position + 4],
            int.from_bytes(value[position + 4 : position + 8], "little"),
        )
        if tag == _DELIMITER:
            return
        position += 8
        if tag != ITEM or length > len(value) - position:
            raise UnreadableImage(
                msg(
                    "fragment-cut-off",
                    length=length,
                    left=len(value) - position,
                )
            )
        yield value[position : position + length]
        position += length


def encapsulated_frames(parts: Sequence[memoryview], count: int) -> list[memoryview]:
    """Join fragments into frames; frames of one fragment, the usual case, are not copied.

    What surrounds a codestream is left out: padding and stray bytes behind its end, the boxes of a JPEG 2000 file.

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
    joined = (group[0] if len(group) == 1 else memoryview(b"".join(group)) for group in groups)
    return [_codestream(frame) for frame in joined]


def is_whole(frame: memoryview) -> bool:
    """Return True if a codestream contains the end marker of JPEG, JPEG-LS and JPEG 2000."""
    return _end(frame) > 0


def without_fill(frame: memoryview) -> memoryview:
    """Remove bytes FF, or else a single 00, before the end marker that ends a frame."""
    body = bytes(frame[: -len(_END)])
    return memoryview((body.rstrip(b"\xff") if body[-1:] == b"\xff" else body.removesuffix(b"\x00")) + _END)


def _codestream(frame: memoryview) -> memoryview:
    """Return a frame without the bytes around its codestream; unchanged if it is RLE or has no end."""
    if frame[: len(_JP2)] == _JP2:
        start = bytes(frame[:_JP2_HEAD]).find(_J2K)
        frame = frame[max(0, start) :]
    return frame[: _end(frame) or None] if frame[:2] in _STARTS else frame


def _end(frame: memoryview) -> int:
    """Return the position behind the last end marker; 0 if there is none."""
    near = bytes(frame[-_TAIL:]).rfind(_END)
    if near >= 0:
        return max(0, len(frame) - _TAIL) + near + len(_END)
    anywhere = bytes(frame).rfind(_END)
    return anywhere + len(_END) if anywhere >= 0 else 0


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
