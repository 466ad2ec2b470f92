"""Files with a secret marker in every text element, and the search for markers."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from pydicom import dcmread
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from tests.support.factories import breast, dicom, dicom_bytes
from tests.support.stored_content import everything

WORD, DATE, TIME, UID = "ZQSECRETQZ", "19330217", "173113", "1.2.826.0.1.3680043.99"
_VALUES = {
    **dict.fromkeys(("AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"), WORD),
    "PN": f"{WORD}^Jane",
    "DA": DATE,
    "DT": f"{DATE}{TIME}.25",
    "TM": f"{TIME}.25",
    "UI": f"{UID}.7",
}
# What a file has to say truly to be read at all.
_TRUE = {"SpecificCharacterSet", "SOPClassUID", "Modality", "BodyPartExamined", "PhotometricInterpretation"}


def dicom_with_phi(seed: int = 0, **elements: object) -> bytes:
    """Build a mammogram with every text element of the DICOM dictionary, at three depths, and private ones."""
    built = dicom(breast(seed=seed))
    fill_text_elements(built)
    for keyword in ("ViewCodeSequence", "RequestAttributesSequence", "SourceImageSequence", "VOILUTSequence"):
        item = Dataset()
        fill_text_elements(item, 7)
        item.ViewModifierCodeSequence = [Dataset()]
        fill_text_elements(item.ViewModifierCodeSequence[0], 11)
        setattr(built, keyword, [item])
    private = built.private_block(0x0019, WORD, create=True)
    private.add_new(1, "LO", WORD)
    private.add_new(2, "UN", f"{WORD} {DATE}".encode())
    for keyword, value in elements.items():
        setattr(built, keyword, value)
    return dicom_bytes(built)


def fill_text_elements(item: Dataset, step: int = 1) -> None:
    """Put a marker into every text element that is not required, or into every n-th."""
    for tag, (vr, _, _, _, keyword) in list(DicomDictionary.items())[::step]:
        if vr in _VALUES and keyword not in _TRUE and 0x0008 <= tag >> 16 < 0x7FE0:
            item.add_new(tag, vr, _VALUES[vr])


def pictures_with_phi() -> Iterator[tuple[str, bytes]]:
    """Build images with markers in text chunks, EXIF, comments and the file name."""
    eight = Image.fromarray((breast(seed=1) >> 8).astype(np.uint8))
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", f"{WORD} {DATE}")
    exif = Image.Exif()
    exif[0x010E], exif[0x0132] = WORD, DATE
    for kind, options in (
        ("PNG", {"pnginfo": text}),
        ("JPEG", {"exif": exif, "comment": WORD.encode()}),
        ("TIFF", {"description": WORD, "datetime": DATE}),
    ):
        stream = io.BytesIO()
        eight.save(stream, kind, **options)
        assert WORD.encode() in stream.getvalue()
        yield f"{WORD}-{DATE}.{kind.lower()}", stream.getvalue()


def phi_below(folder: Path) -> list[str]:
    """Find markers in names, contents and decoded headers of what is stored of an instance folder."""
    found = []
    for name, content in everything(folder):
        texts = [name.encode(), content]
        if name.endswith(".dcm"):
            with contextlib.suppress(EOFError, InvalidDicomError):  # it is being written
                texts.append(str(dcmread(io.BytesIO(content))).encode())
        found += [f"{name}: {secret}" for text in texts for secret in phi_in(text)]
    return found


def phi_in(text: bytes) -> list[str]:
    """Find markers in bytes, ignoring case, also as UTF-16 and as separate parts of a date."""
    narrow = text.lower().replace(b"\0", b"")
    year, month, day = DATE[:4], DATE[4:6], DATE[6:]
    patterns = [WORD.lower(), f"{year}[-./: ]?{month}[-./: ]?{day}", TIME, re.escape(UID)]
    return [pattern for pattern in patterns if re.search(pattern.encode(), narrow)]
