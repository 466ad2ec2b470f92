"""Accuracy of decoded pixels for every transfer syntax and bit depth, in files that another program wrote.

The same cells are a test (``test_transfer_syntaxes``) and the table of ``docs/dicom.md`` (make dicom-table).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import uid

from birads_app.imaging.decode import decode
from tests.support import dicom_files

BITS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class Row:
    """A transfer syntax.

    bits, signed : depths and signs that the test's encoder can write
    tolerance : largest difference allowed from the raw pixels written, as a share of their range; 0 is exact
    writer, reader : the programs that encode and decode
    """

    syntax: uid.UID
    writer: str
    reader: str
    bits: tuple[int, ...] = BITS
    signed: bool = True
    tolerance: float = 0.0


ROWS = (
    Row(uid.ImplicitVRLittleEndian, "pydicom", "numpy"),
    Row(uid.ExplicitVRLittleEndian, "pydicom", "numpy"),
    Row(uid.ExplicitVRBigEndian, "pydicom", "numpy"),
    Row(uid.DeflatedExplicitVRLittleEndian, "pydicom", "zlib, numpy"),
    Row(uid.RLELossless, "pydicom", "imagecodecs"),
    Row(uid.JPEGBaseline8Bit, "Pillow", "Pillow", (8,), False, 0.02),
    Row(uid.JPEGExtended12Bit, "Pillow, imagecodecs", "Pillow, GDCM", (8, 12), False, 0.02),
    Row(uid.JPEGLossless, "GDCM", "GDCM"),
    Row(uid.JPEGLosslessSV1, "GDCM", "GDCM"),
    Row(uid.JPEGLSLossless, "pyjpegls", "pyjpegls"),
    Row(uid.JPEGLSNearLossless, "pyjpegls", "pyjpegls", BITS, False, 0.02),
    Row(uid.JPEG2000Lossless, "pylibjpeg-openjpeg", "pylibjpeg-openjpeg"),
    Row(uid.JPEG2000, "pylibjpeg-openjpeg", "pylibjpeg-openjpeg", BITS, True, 0.02),
    Row(uid.HTJ2KLossless, "imagecodecs (OpenJPH)", "pylibjpeg-openjpeg"),
    Row(uid.HTJ2KLosslessRPCL, "imagecodecs (OpenJPH)", "pylibjpeg-openjpeg"),
    Row(uid.HTJ2K, "imagecodecs (OpenJPH)", "pylibjpeg-openjpeg", BITS, True, 0.02),
)


def difference(row: Row, bits: int, signed: bool, folder: Path) -> float:
    """Write a picture, read it, and give the largest difference as a share of the raw pixels' range.

    Without window and rescale, the smallest word is shown as 0 and the largest as 65,535; nothing else is
    assumed about the reader.
    """
    raw = dicom_files.picture(bits, 96, 128).astype(np.int64) - (1 << (bits - 1) if signed else 0)
    kind = ("i" if signed else "u") + ("1" if bits == 8 else "2")
    stored = raw.astype(kind)
    depth = {"BitsStored": bits, "HighBit": bits - 1}
    if row.syntax.is_encapsulated:
        data = dicom_files.compressed(stored, row.syntax, folder, **depth)
    else:
        data = dicom_files.as_bytes(dicom_files.dataset(stored, **depth), row.syntax)
    shown = decode(data).pixels
    expected = (raw - raw.min()) / np.ptp(raw)
    return float(np.abs(shown / 65535 - expected).max())
