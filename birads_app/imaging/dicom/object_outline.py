"""Beginning and end of an object that arrives, before anything of it is parsed."""

import struct

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from birads_app.imaging.dicom.parser import locate_data_set, read_elements, text

_STUDY = 0x0020000D
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_DELIMITERS, _ITEM = 0xFFFE, 0xFFFEE000
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_ELEMENTS_MAX = 500_000  # real headers have a few thousand


def read_beginning(data: bytes) -> Dataset:
    """Return the elements of an object up to the UID of its study.

    Raises
    ------
    ImageTooLarge, UnreadableImage
        As :func:`birads_app.imaging.dicom.parser.parse`, for the beginning.
    """
    stream, encoding, _, _ = locate_data_set(data)
    return read_elements(stream, encoding, lambda tag: tag > _STUDY)[0]


def uids(beginning: Dataset) -> tuple[str, str]:
    """Return the UIDs of an object's study and of itself; "" if absent."""
    return text(beginning, "StudyInstanceUID"), text(beginning, "SOPInstanceUID")


def is_cut_off(data: bytes) -> bool:
    """Return True if an object ends before its pixels do, by the lengths that its elements declare.

    No value is read. A missing end marker of encapsulated pixel data is tolerated, as when it is parsed.

    Raises
    ------
    ImageTooLarge, UnreadableImage
        As :func:`read_beginning`.
    """
    stream, encoding, _, _ = locate_data_set(data)
    content, position = memoryview(stream.getvalue()), stream.tell()
    # Encoding of the data set, and of each sequence and item of undefined length around the position.
    nested, in_pixels, fragments = [encoding], False, 0
    for _ in range(_ELEMENTS_MAX):
        try:
            tag, vr, length, position = _element(content, position, nested[-1])
        except struct.error:  # there is no further one
            if in_pixels:
                return fragments < 2 or not _SEQUENCE_END.startswith(bytes(content[position:]))
            return position != len(content) or len(nested) > 1
        pixels = tag in _PIXELS and len(nested) == 1
        if tag >> 16 == _DELIMITERS and tag != _ITEM:
            if in_pixels:
                return False
            nested = nested[:-1] or nested
        elif length == _UNDEFINED:
            in_pixels |= pixels
            nested.append(ImplicitVRLittleEndian if vr == b"UN" else nested[-1])  # PS3.5 6.2.2
        elif length > len(content) - position or pixels:
            return length > len(content) - position
        else:
            position += length
            fragments += in_pixels  # the offset table among them
    return False


def _element(content: memoryview, position: int, encoding: UID) -> tuple[int, bytes, int, int]:
    """Return tag, value representation ("" if implicit), length and position of the value of an element."""
    order = ">" if encoding == ExplicitVRBigEndian else "<"
    group, number = struct.unpack_from(f"{order}HH", content, position)
    tag = group << 16 | number
    if encoding == ImplicitVRLittleEndian or group == _DELIMITERS:
        return tag, b"", struct.unpack_from(f"{order}I", content, position + 4)[0], position + 8
    vr = bytes(content[position + 4 : position + 6])
    if vr in _LONG:
        return tag, vr, struct.unpack_from(f"{order}I", content, position + 8)[0], position + 12
    return tag, vr, struct.unpack_from(f"{order}H", content, position + 6)[0], position + 8
