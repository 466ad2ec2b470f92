"""Test data set: distinct 512-pixel PNG files of phantoms."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from training.phantoms.generate import write_set

# Shading a phantom is faster than drawing another one; each patient has four images.
_PATIENTS, _IMAGES = 10, 40
# Cells of the random field that shades a phantom: coarse enough to change its overall appearance.
_CELLS = 6


def write(folder: Path, count: int) -> Path:
    """Write ``count`` pictures below ``folder``, one folder per category, and a patient table; return their folder."""
    base = write_set(folder / "base", _PATIENTS, seed=1, size=512).parent
    paths = sorted(base.glob("Birads*/*.png"))
    phantoms = [np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) for path in paths]
    target = folder / "pictures"
    for path in paths:
        (target / path.parent.name).mkdir(parents=True, exist_ok=True)

    def shade(number: int) -> None:
        turn, which = divmod(number, _IMAGES)
        field = np.random.default_rng(number).uniform(0.3, 1.0, (_CELLS, _CELLS)).astype(np.float32)
        picture = phantoms[which]
        shaded = picture * cv2.resize(field, picture.shape[::-1], interpolation=cv2.INTER_CUBIC).clip(0.2, 1)
        name = f"PH{turn * _PATIENTS + int(paths[which].name[2:6]):04d}{paths[which].name[6:]}"
        cv2.imwrite(str(target / paths[which].parent.name / name), shaded.astype(np.uint8))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(shade, range(count)))
    return target
