"""Files with an error of the exporting program, each paired with a correct file of the same image."""

import io
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from birads_app.deid.prepare import PreparedFile, prepare
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging.source_file import SourceFile
from tests.support import dicom_files
from tests.support.factories import breast

RAW = breast(320, 256) >> 4
_DEPTH = {"BitsStored": 12, "HighBit": 11}
_WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
_VIEW = {"ViewPosition": "CC", "ImageLaterality": "L", "PatientID": "4711", "PatientName": "Doe^Jane"}
HEADER = {**_DEPTH, **_WINDOW, **_VIEW, "StudyInstanceUID": "1.2.3", "StudyDate": "20240102"}


@dataclass(frozen=True)
class Pair:
    """A faulty file, the correct one, and the code of the additional note on the faulty one, if any."""

    faulty: bytes
    sound: bytes
    note: str | None = None


def built(raw: np.ndarray = RAW, **elements: object) -> Dataset:
    """A mammogram's data set with the elements of :data:`HEADER`, unless one is given as None."""
    stated = {**HEADER, **elements}
    return dicom_files.dataset(raw, **{key: value for key, value in stated.items() if value is not None})


def plain(raw: np.ndarray = RAW, **elements: object) -> bytes:
    """An uncompressed file."""
    return dicom_files.as_bytes(built(raw, **elements))


def compressed(syntax: str, raw: np.ndarray = RAW, **elements: object) -> bytes:
    """A compressed file."""
    with tempfile.TemporaryDirectory() as folder:
        return dicom_files.compressed(raw, uid.UID(syntax), Path(folder), **{**HEADER, **elements})


def deidentified(data: bytes) -> PreparedFile:
    """Prepare a file for storage without its identity."""
    return prepare(SourceFile("", data), Pseudonyms("k" * 64))


def with_frame(data: bytes, change: Callable[[bytes], bytes], syntax: str | None = None) -> bytes:
    """Change the codestream of a compressed file, or declare another transfer syntax."""
    opened = dicom_files.dcmread(io.BytesIO(data))
    frame = next(generate_frames(opened.PixelData, number_of_frames=1))
    return dicom_files.encapsulated(change(frame), opened, syntax or opened.file_meta.TransferSyntaxUID)


def declared(data: bytes, syntax: str) -> bytes:
    """Overwrite the transfer syntax UID of a file, and nothing else."""
    at = data.index(b"\x02\x00\x10\x00UI")
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    value = syntax.encode() + bytes(len(syntax) % 2)
    meta_length = int.from_bytes(data[140:144], "little") + len(value) - length
    head = data[:140] + struct.pack("<I", meta_length) + data[144 : at + 6]
    return head + struct.pack("<H", len(value)) + value + data[at + 8 + length :]


def split(data: bytes) -> tuple[bytes, bytes]:
    """Split a file into preamble with meta elements, and data set."""
    start = 144 + int.from_bytes(data[140:144], "little")
    return data[:start], data[start:]


@cache
def all_pairs() -> dict[str, Pair]:
    """The pairs of this module by name."""
    return dict([*codestreams(), *encodings()])


def codestreams() -> Iterator[tuple[str, Pair]]:
    """Extra bytes around codestreams, and codestreams declared as another transfer syntax."""
    kinds = {
        "JPEG 2000": uid.JPEG2000Lossless,
        "HTJ2K": uid.HTJ2KLossless,
        "JPEG-LS": uid.JPEGLSLossless,
        "JPEG Lossless": uid.JPEGLosslessSV1,
        "JPEG Extended": uid.JPEGExtended12Bit,
        "RLE": uid.RLELossless,
    }
    for name, syntax in kinds.items():
        sound = compressed(syntax)
        yield f"{name}, 64 zeros behind", Pair(with_frame(sound, lambda one: one + bytes(64)), sound)
        if name != "RLE":
            yield f"{name}, junk behind", Pair(with_frame(sound, lambda one: one + b"junk" * 40), sound)
            fill = with_frame(sound, lambda one: one.rstrip(b"\0")[:-2] + b"\xff\xff\xd9")
            yield f"{name}, a fill byte", Pair(fill, sound)
        for other, wrong in kinds.items():
            if other != name:
                both = {name, other}
                family = both <= {"JPEG 2000", "HTJ2K"} or both <= {"JPEG Lossless", "JPEG Extended"}
                note = None if family else "transfer-syntax-corrected"
                yield f"{name} under {other}", Pair(declared(sound, wrong), sound, note)
        for wrong in (uid.ExplicitVRLittleEndian, uid.MPEG2MPML, uid.UID("1.2.840.113619.5.2")):
            corrected = Pair(declared(sound, wrong), sound, "transfer-syntax-corrected")
            yield f"{name} under {wrong.name}", corrected
        yield f"{name} of a stated length", Pair(_of_stated_length(sound), sound)
    sound = compressed(uid.JPEG2000Lossless)
    yield "a JPEG 2000 file", Pair(with_frame(sound, _boxed), sound)
    yield (
        "uncompressed under JPEG-LS",
        Pair(declared(plain(), uid.JPEGLSLossless), plain(), "transfer-syntax-corrected"),
    )


def _of_stated_length(data: bytes) -> bytes:
    """State the length of the encapsulated pixel data instead of leaving it undefined."""
    at = data.index(b"\xe0\x7f\x10\x00OB\0\0") + 8
    return data[:at] + struct.pack("<I", len(data) - at - 4) + data[at + 4 :]


def _boxed(frame: bytes) -> bytes:
    """Wrap a JPEG 2000 codestream in the boxes of a JP2 file."""
    boxes = ((b"jP  ", b"\r\n\x87\n"), (b"ftyp", b"jp2 \0\0\0\0jp2 "), (b"xml ", b"<name>Doe</name>"))
    boxes += ((b"jp2c", frame),)
    return b"".join(struct.pack(">I", len(content) + 8) + kind + content for kind, content in boxes)


def encodings() -> Iterator[tuple[str, Pair]]:
    """Data sets whose encoding is not the declared one, and other irregular headers."""
    natives = {
        "explicit": uid.ExplicitVRLittleEndian,
        "implicit": uid.ImplicitVRLittleEndian,
        "big endian": uid.ExplicitVRBigEndian,
    }
    sound = plain()
    meta, elements = split(sound)
    for name, actual in natives.items():
        data = dicom_files.as_bytes(built(), actual)
        for other, wrong in natives.items():
            if other != name:
                corrected = Pair(declared(data, wrong), sound, "transfer-syntax-corrected")
                yield f"{name} under {other}", corrected
        for wrong in (uid.DeflatedExplicitVRLittleEndian, uid.JPEG2000Lossless, uid.UID("1.2.3.4")):
            corrected = Pair(declared(data, wrong), sound, "transfer-syntax-corrected")
            yield f"{name} under {wrong.name}", corrected
    data = dicom_files.as_bytes(built(), uid.DeflatedExplicitVRLittleEndian)
    for wrong in (*natives.values(), uid.RLELossless):
        yield f"deflated under {wrong.name}", Pair(declared(data, wrong), sound, "transfer-syntax-corrected")
    deflated = declared(meta, uid.DeflatedExplicitVRLittleEndian)
    yield "deflated with a zlib header", Pair(deflated + zlib.compress(elements), sound)
    implicit = split(dicom_files.as_bytes(built(), uid.ImplicitVRLittleEndian))[1]
    jpeg_2000 = compressed(uid.JPEG2000Lossless)
    pixels = split(jpeg_2000)[1]
    pixels = pixels[pixels.index(b"\xe0\x7f\x10\x00OB") :]
    implicit = implicit[: implicit.index(b"\xe0\x7f\x10\x00")] + pixels[:4] + pixels[8:]
    yield "compressed, implicit", Pair(declared(meta, uid.JPEG2000Lossless) + implicit, sound)
    yield "wrong length of the meta group", Pair(sound[:140] + struct.pack("<I", 4) + sound[144:], sound)
    no_length = sound[:132] + sound[144:]
    yield "no length of the meta group", Pair(no_length, sound)
    yield "no preamble", Pair(sound[132:], sound, "no-preamble")
    yield "no meta group", Pair(elements, sound, "no-preamble")
    yield "pixel data as OB", Pair(sound.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x10\x00OB"), sound)
    yield "pixel data as UN", Pair(sound.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x10\x00UN"), sound)
    group_length = b"\x08\x00\x00\x00UL\x04\x00" + struct.pack("<I", 99)
    yield "length of group 0008", Pair(meta + group_length + elements, sound)
    yield "an odd length", Pair(_with_odd_length(meta, elements), sound)
    yield "bytes behind the pixel data", Pair(sound + bytes(37), sound)
    codes = {"ViewCodeSequence": [_view_code()]}
    yield "an item of undefined length", Pair(_with_undefined_lengths(**codes), plain(**codes))


def _with_odd_length(meta: bytes, elements: bytes) -> bytes:
    at = elements.index(b"\x10\x00\x10\x00PN")
    return meta + elements[:at] + b"\x10\x00\x10\x00PN\x07\x00Doe^Jan" + elements[at + 16 :]


def _view_code() -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399162004", "SCT", "cranio-caudal"
    return code


def _with_undefined_lengths(**elements: object) -> bytes:
    made = built(**elements)
    made["ViewCodeSequence"].is_undefined_length = True
    made.ViewCodeSequence[0].is_undefined_length_sequence_item = True
    return dicom_files.as_bytes(made)
