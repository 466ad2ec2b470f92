"""Comments in the header of a compressed picture: left out, with nothing else changed.

JPEG and JPEG-LS (ISO/IEC 10918-1, 14495-1) and JPEG 2000 (15444-1) build their headers of segments alike: a marker,
a length, content. Programs write names and dates into some of them as readily as their own.
"""

from collections.abc import Iterator

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f"
# By how a stream starts: the marker that ends its header, and the segments that decoding does not need.
_COMMENTS = {
    _JPEG: (0xDA, {0xFE, *range(0xE0, 0xF0)}),  # SOS; COM, APPn
    _JPEG_2000: (0x90, {0x64}),  # SOT; COM
}


def without_comments(frame: bytes) -> bytes:
    """A codestream without comments in its header; as it is where it is none of these or its header is damaged."""
    if frame[:2] not in _COMMENTS:
        return frame
    end, left_out = _COMMENTS[frame[:2]]
    kept = [frame[:2]]
    for marker, segment in _segments(frame):
        if marker == end:
            return b"".join((*kept, segment))
        if marker not in left_out:
            kept.append(segment)
    return frame


def _segments(frame: bytes) -> Iterator[tuple[int, bytes]]:
    """The header's markers, each with its segment, and at last the marker of the data with all that is left."""
    end, _ = _COMMENTS[frame[:2]]
    position = 2
    while position + 4 <= len(frame) and frame[position] == 0xFF:
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if marker == end:
            yield marker, frame[position:]
            return
        size = 1 if marker == 0xFF else 2 + length  # a fill byte, or a segment
        yield marker, frame[position : position + size]
        position += size
