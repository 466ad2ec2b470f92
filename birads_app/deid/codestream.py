"""Removal of comments from the header of compressed pixel data, without any other change.

Headers of JPEG, JPEG-LS (ISO/IEC 10918-1, 14495-1) and JPEG 2000 (15444-1) consist of segments: marker, length,
content. Some programs write names and dates into comment segments.
"""

from collections.abc import Iterator

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f"
# Marker that ends the header, and segments that decoding does not need, by the first bytes of the stream.
_COMMENTS = {
    _JPEG: (0xDA, {0xFE, *range(0xE0, 0xF0)}),  # SOS; COM, APPn
    _JPEG_2000: (0x90, {0x64}),  # SOT; COM
}


def without_comments(frame: bytes) -> bytes:
    """Remove comments from a codestream's header; return other formats and damaged headers unchanged."""
    if frame[:2] not in _COMMENTS:
        return frame
    end, left_out = _COMMENTS[frame[:2]]
    segments = [frame[:2]]
    for marker, segment in _segments(frame):
        if marker == end:
            return b"".join((*segments, segment))
        if marker not in left_out:
            segments.append(segment)
    return frame


def _segments(frame: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each marker of the header with its segment, then the marker that ends it with all remaining bytes."""
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
