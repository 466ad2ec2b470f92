"""Frames of encapsulated pixel data, from offset tables that fit the fragments and from those that do not."""

import struct
import warnings

import pytest
from pydicom.encaps import generate_frames

from birads_app.imaging.dicom.encapsulation import encapsulated_frames
from birads_app.terms.errors import UnreadableImage

END = b"\xff\xd9"
WHOLE = [b"a" * 10 + END, b"b" * 8 + END]
SPLIT = [b"a" * 10, b"a" * 12 + END, b"b" * 8, b"b" * 8 + END]
SECOND = 8 + len(SPLIT[0]) + 8 + len(SPLIT[1])  # offset of the second frame


def table(*offsets: int) -> bytes:
    return struct.pack(f"<{len(offsets)}I", *offsets)


def by_pydicom(offsets: bytes, fragments: list[bytes], count: int) -> list[bytes]:
    items = [struct.pack("<HHI", 0xFFFE, 0xE000, len(one)) + one for one in (offsets, *fragments)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(generate_frames(b"".join(items), number_of_frames=count))


def found(offsets: bytes, fragments: list[bytes], count: int) -> list[bytes]:
    return [bytes(frame) for frame in encapsulated_frames([*map(memoryview, (offsets, *fragments))], count)]


@pytest.mark.parametrize(
    ("offsets", "fragments"), [(b"", WHOLE), (table(0, 20), WHOLE), (b"", SPLIT), (table(0, SECOND), SPLIT)]
)
def test_valid_data_is_read_as_by_pydicom(offsets: bytes, fragments: list[bytes]) -> None:
    frames = found(offsets, fragments, 2)
    assert len(frames) == 2 and b"".join(frames) == b"".join(fragments)
    assert frames == by_pydicom(offsets, fragments, 2)


@pytest.mark.parametrize(
    ("offsets", "fragments"),
    [
        (table(0, 7), SPLIT),
        (table(SECOND, 0), SPLIT),
        (table(0, 0), WHOLE),
        (table(0), WHOLE),
        (b"", [one + bytes(14) for one in SPLIT]),
    ],
    ids=["between fragments", "unsorted", "zeros", "too short", "padded"],
)
def test_faulty_data_is_read_where_pydicom_fails(offsets: bytes, fragments: list[bytes]) -> None:
    half = len(fragments) // 2
    expected = [b"".join(fragments[:half]), b"".join(fragments[half:])]
    assert found(offsets, fragments, 2) == expected
    assert by_pydicom(offsets, fragments, 2) != expected


def test_a_single_frame_has_all_fragments_regardless_of_the_offset_table() -> None:
    assert found(table(0, 20), WHOLE, 1) == [b"".join(WHOLE)]
    assert by_pydicom(table(0, 20), WHOLE, 1) != [b"".join(WHOLE)]


def test_another_number_of_frames_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="declares 3 frames"):
        found(b"", SPLIT, 3)
