"""A decoder with a fault: the process ends if an image has a certain number of rows."""

import os

import numpy as np

from birads_app.imaging.dicom import tomosynthesis
from birads_app.imaging.dicom.parser import ParsedDicom

ROWS = 1001
_decode = tomosynthesis.raw_pixels


def _crashing(file: ParsedDicom) -> np.ndarray:
    if file.dataset.Rows == ROWS:
        os.abort()
    return _decode(file)


tomosynthesis.raw_pixels = _crashing
