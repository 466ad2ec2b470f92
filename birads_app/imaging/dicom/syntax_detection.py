"""Detection of the encoding by the first bytes, for files whose transfer syntax UID is wrong.

Archives and converters sometimes compress or decompress pixel data, or rewrite a header, and leave the UID as it was.
"""

import io
import zlib
from collections.abc import Sequence

from pydicom import uid

from birads_app.imaging.limits import EXPANSION_FREE, EXPANSION_MAX, MAX_PIXELS
from birads_app.terms.errors import ImageTooLarge, UnreadableImage
from birads_app.terms.messages import msg

NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
_JPEG = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1}
_JPEG_LS = {uid.JPEGLSLossless, uid.JPEGLSNearLossless}
_JPEG_2000 = {uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K}
_FAMILIES = (_JPEG, _JPEG_LS, _JPEG_2000, {uid.RLELossless})
_HEAD = 1 << 16  # bytes that a codestream's frame header lies within, unless there is a long comment
_DEFLATED_HEAD = 1 << 12  # bytes of a deflated data set that hold its first element
_INFLATED_MAX = 2 * MAX_PIXELS + (32 << 20)  # bytes of the largest accepted image and its header
_PIECE, _INFLATED_PIECE = 1 << 16, 1 << 20  # bytes that are inflated at a time, and of what that gives
_SOS, _SOF_LS = 0xDA, 0xF7  # start of scan; frame header of JPEG-LS
_BY_FRAME_HEADER = {0xC1: uid.JPEGExtended12Bit, 0xC3: uid.JPEGLossless}
_HIGH_THROUGHPUT = 0x40  # bit of Rsiz, high byte


def encoded_as(fragments: Sequence[memoryview], declared: uid.UID) -> uid.UID:
    """Return the transfer syntax of encapsulated pixel data.

    The declared one, unless the codestream is of another family: JPEG, JPEG-LS, JPEG 2000 or RLE.

    Parameters
    ----------
    fragments : Basic Offset Table, which may be empty, and fragments
    """
    head = b""
    for fragment in fragments[1:]:
        head += fragment[: _HEAD - len(head)]
        if len(head) >= _HEAD:
            break
    found = _identified(head)
    if found is None or any({found, declared} <= family for family in _FAMILIES):
        return declared
    return found


def data_set_encoding(head: bytes, declared: uid.UID) -> uid.UID:
    """Return the transfer syntax of uncompressed elements; the declared one, unless their bytes contradict it.

    Parameters
    ----------
    head : at least the first 6 bytes of the data set
    """
    if len(head) < 6:
        return declared
    explicit = is_explicit(head)
    group = int.from_bytes(head[:2], "little")
    if explicit and head[0] == 0 and 0 < group >> 8 <= 0x20:  # groups 0002 to 0020 with their bytes swapped
        return uid.ExplicitVRBigEndian
    if not explicit and head[0] == 0 and declared == uid.ExplicitVRBigEndian:
        return declared  # not implicit little endian at any rate
    return uid.ExplicitVRLittleEndian if explicit else uid.ImplicitVRLittleEndian


def is_deflated(data: memoryview, declared: uid.UID) -> bool:
    """Return True if a data set is deflated: as declared, unless its bytes contradict that.

    Parameters
    ----------
    data : the data set, from its first byte
    """
    head = bytes(data[:16])
    if starts_data_set(head) or data_set_encoding(head, declared) == uid.ExplicitVRBigEndian:
        return False
    if declared == uid.DeflatedExplicitVRLittleEndian:
        return True
    try:
        return starts_data_set(_inflater_of(data).decompress(data[:_DEFLATED_HEAD], 16))
    except zlib.error:
        return False


def _inflater_of(deflated: memoryview) -> "zlib._Decompress":
    """Return the decompressor of a deflated data set (PS3.5 A.5); some programs write a zlib header before it."""
    header = deflated[0] & 15 == 8 and int.from_bytes(deflated[:2], "big") % 31 == 0
    return zlib.decompressobj(zlib.MAX_WBITS if header else -zlib.MAX_WBITS)


def inflate(deflated: memoryview) -> bytes:
    """Inflate a deflated data set, up to a limit; raises UnreadableImage or ImageTooLarge."""
    most = min(_INFLATED_MAX, max(EXPANSION_FREE, EXPANSION_MAX * len(deflated)))
    inflater = _inflater_of(deflated)
    data = io.BytesIO()  # whose content is taken without a copy
    try:
        for start in range(0, len(deflated), _PIECE):
            piece: bytes | memoryview = deflated[start : start + _PIECE]
            while not inflater.eof:
                inflated = inflater.decompress(piece, _INFLATED_PIECE)
                piece = inflater.unconsumed_tail
                data.write(inflated)
                if data.tell() > most:
                    raise ImageTooLarge(msg("deflated-too-large", mebibytes=most >> 20))
                if len(inflated) < _INFLATED_PIECE:
                    break  # all that the piece gives
    except zlib.error as error:
        raise UnreadableImage(msg("deflated-damaged")) from error
    if not inflater.eof:
        raise UnreadableImage(msg("deflated-cut-off"))
    return data.getvalue()


def starts_data_set(head: bytes) -> bool:
    """Return True for a plausible first element of group 0002 or 0008, little endian."""
    if len(head) < 16 or head[:2] not in (b"\x02\x00", b"\x08\x00") or head[3] != 0:
        return False
    return is_explicit(head) or int.from_bytes(head[4:8], "little") <= 256


def is_explicit(element: bytes) -> bool:
    """Return True if an element's fifth and sixth bytes are a value representation."""
    return element[4:6].isalpha() and element[4:6].isupper()


def _identified(head: bytes) -> uid.UID | None:
    """Return the transfer syntax of a codestream by its first bytes; None if they are none."""
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(head)
    if head.startswith(b"\xff\x4f\xff\x51"):
        return uid.HTJ2K if head[6:7] and head[6] & _HIGH_THROUGHPUT else uid.JPEG2000
    if head.startswith(b"\x00\x00\x00\x0cjP  "):
        return uid.JPEG2000
    return uid.RLELossless if _is_rle(head) else None


def _jpeg(head: bytes) -> uid.UID | None:
    """Return the transfer syntax of JPEG or JPEG-LS by the frame header."""
    position, near = 2, uid.JPEGLSLossless
    kind: uid.UID | None = None
    while position + 4 <= len(head) and head[position] == 0xFF:
        marker, length = head[position + 1], int.from_bytes(head[position + 2 : position + 4], "big")
        if marker == _SOS:
            break
        if marker == _SOF_LS:
            kind = near
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            kind = _BY_FRAME_HEADER.get(marker, uid.JPEGBaseline8Bit)
        position += 1 if marker == 0xFF else 2 + length
    # Ss: the predictor of lossless JPEG, the largest difference of JPEG-LS
    first = head[position + 7 : position + 8]
    if kind == uid.JPEGLossless and first == b"\x01":
        return uid.JPEGLosslessSV1
    if kind == near and first not in (b"", b"\x00"):
        return uid.JPEGLSNearLossless
    return kind


def _is_rle(head: bytes) -> bool:
    """Return True for an RLE header (PS3.5 G.5): up to 15 segments, the first right behind the header."""
    numbers = [int.from_bytes(head[at : at + 4], "little") for at in range(0, 64, 4)]
    count, offsets = numbers[0], numbers[1:]
    if not 1 <= count <= 15 or offsets[0] != 64:
        return False
    return offsets[:count] == sorted(set(offsets[:count])) and not any(offsets[count:])
