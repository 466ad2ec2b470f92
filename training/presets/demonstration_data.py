"""The material of the shipped model: two public sets and phantoms, each with what its labels really say.

A label that is no BI-RADS category stands for the set of categories it may be: a normal is 1 or 2, a benign
finding 2, 3 or 4, a cancer 4 or 5. Nothing is guessed beyond that; the loss sums the probability over the set.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from birads_app.imaging import view_filename
from birads_app.imaging.decode import Mammogram, decode
from birads_app.model.preprocess import ModelInput, prepare
from training.data.dataset import read_folder
from training.data.patient_ids import from_name
from training.data.split import Split, by_patient
from training.errors import DatasetError
from training.phantoms import generate
from training.phantoms.image import WHITE, Phantom

CLASSES = ("1", "2", "3", "4", "5")
POSSIBLE = {"normal": "12", "benign": "234", "cancer": "45", **{code: code for code in CLASSES}}

CESM, DDSM, KAU, PHANTOMS = "CDD-CESM", "DDSM", "KAU-BCMD", "phantoms"
# Outlines of the findings, black and white files of the images' names.
_OUTLINES = {CESM: "cdd-cesm-low-energy-masks"}
_FOLDERS = {CESM: "cdd-cesm-low-energy", DDSM: "ddsm-thumbnails", KAU: "kau-bcmd-sample"}
# What the labels of a source say, and its licence with citation; the card prints both.
LICENCES = {
    CESM: (
        "BI-RADS by radiologists (6 excluded)",
        "CC BY 4.0; Khaled et al., Sci Data 9 (2022), doi 10.1038/s41597-022-01238-0, TCIA doi 10.7937/29kw-ae92",
    ),
    DDSM: (
        "normal, benign or cancer",
        "public for research; Heath et al., The Digital Database for Screening Mammography, IWDM 2001",
    ),
    PHANTOMS: ("category by construction", "made by `flask phantoms`; Apache-2.0 as this project"),
    KAU: (
        "BI-RADS by radiologists",
        "public sample; Alsolami et al., Data 6 (2021), doi 10.3390/data6110111",
    ),
}


@dataclass(frozen=True)
class Source:
    """All images of one source, prepared.

    squares : uint8 array (n, size, size)
    labels : n labels as the source gives them, keys of POSSIBLE
    patients : n ids
    sides : n sides, ``"L"`` or ``"R"``, or empty
    outlines : uint8 array (n, size, size), 255 where a finding is
    outlined : bool array (n,), whether it is known where the findings are
    """

    name: str
    squares: np.ndarray
    labels: tuple[str, ...]
    patients: tuple[str, ...]
    sides: tuple[str, ...]
    outlines: np.ndarray
    outlined: np.ndarray

    @property
    def possible(self) -> np.ndarray:
        """bool array (n, 5): the categories each image may belong to."""
        return np.array([[code in POSSIBLE[label] for code in CLASSES] for label in self.labels])

    def weights(self, total: float) -> np.ndarray:
        """Drawing weights that sum to ``total``; rare labels weigh more, by the root of their rarity."""
        names, index, counts = np.unique(self.labels, return_inverse=True, return_counts=True)
        weight = 1 / np.sqrt(counts[index])
        return np.asarray(total * weight / weight.sum())

    def split(self, validation: float, test: float, seed: int) -> Split:
        """Parts that share no patient."""
        names, index = np.unique(self.labels, return_inverse=True)
        return by_patient(self.patients, index, list(names), validation=validation, test=test, seed=seed)


@dataclass(frozen=True)
class Material:
    """The public sets by name, and the parts, by patient, of those that take part in training."""

    sources: dict[str, Source]
    parts: dict[str, Split]


def read(data: Path, size: int, *, validation: float, test: float, seed: int) -> Material:
    """Read and split the public sets below ``data``; raises DatasetError where one is missing."""
    sources = {name: _read_real(data, name, size) for name in (CESM, DDSM, KAU)}
    return Material(sources, {name: sources[name].split(validation, test, seed) for name in (CESM, DDSM)})


def _read_real(data: Path, name: str, size: int) -> Source:
    """Read one of the public sets."""
    folder = data / _FOLDERS[name]
    if not folder.is_dir():
        raise DatasetError(f"The demonstration model needs the folder {_FOLDERS[name]} in {data}.")
    if name == DDSM:
        rows = [
            (path, path.parent.name, from_name(path.name) or path.stem)
            for path in sorted(folder.glob("*/*.png"))
            if path.parent.name in POSSIBLE
        ]
    else:
        examples = read_folder(folder, tuple(c for c in CLASSES if (folder / f"Birads{c}").is_dir())).examples
        rows = [(example.path, example.category, example.patient) for example in examples]
    with ThreadPoolExecutor() as pool:
        reading = pool.map(lambda row: prepare(decode(row[0].read_bytes()), size), rows)
        seen = list(tqdm(reading, total=len(rows), desc=name, unit="image", mininterval=5))
    found = [_outline(data, name, row[0], one, size) for row, one in zip(rows, seen, strict=True)]
    nothing = np.zeros((size, size), np.uint8)
    return Source(
        name,
        np.stack([one.grey for one in seen]),
        tuple(row[1] for row in rows),
        tuple(row[2] for row in rows),
        tuple(view_filename.from_name(row[0].name)[0] or "" for row in rows),
        np.stack([nothing if outline is None else outline for outline in found]),
        np.array(
            [row[1] == "normal" or outline is not None for row, outline in zip(rows, found, strict=True)]
        ),
    )


def _outline(data: Path, name: str, image: Path, seen: ModelInput, size: int) -> np.ndarray | None:
    """The outline of an image's findings over its prepared square; None where there is none."""
    path = data / _OUTLINES[name] / image.name if name in _OUTLINES else None
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path and path.is_file() else None
    return None if mask is None else _laid_over(np.where(mask > 127, 255, 0).astype(np.uint8), seen, size)


def _laid_over(mask: np.ndarray, seen: ModelInput, size: int) -> np.ndarray:
    """A mask of the original image, uint8 (height, width), as the prepared square has it."""
    scale = size / seen.box.height
    matrix = np.array([[scale, 0, -seen.box.left * scale], [0, scale, -seen.box.top * scale]])
    square = cv2.warpAffine(mask, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(square[:, ::-1] if seen.flipped else square)


def draw_phantoms(patients: int, seed: int, size: int) -> Source:
    """Phantoms, which alone tell all five categories apart by what the lexicon says."""
    squares, labels, names, sides, outlines = [], [], [], [], []
    for patient, image in tqdm(
        generate.patients(patients, seed), total=4 * patients, desc=PHANTOMS, unit="image", mininterval=5
    ):
        pixels = (image.pixels.astype(np.uint32) * 65535 // WHITE).astype(np.uint16)
        mammogram = Mammogram(pixels, "PNG", 12, image.view, image.laterality, None, 0.0, ())
        seen = prepare(mammogram, size)
        squares.append(seen.grey)
        labels.append(image.category)
        names.append(patient)
        sides.append(image.laterality)
        outlines.append(_laid_over(_boxes(image), seen, size))
    known = np.ones(len(squares), bool)
    texts = (tuple(labels), tuple(names), tuple(sides))
    return Source(PHANTOMS, np.stack(squares), *texts, np.stack(outlines), known)


def _boxes(image: Phantom) -> np.ndarray:
    """The findings of a phantom as a mask, uint8 (height, width): the ellipses in their boxes."""
    mask = np.zeros(image.pixels.shape, np.uint8)
    for finding in image.findings:
        top, left, height, width = finding.box
        cv2.ellipse(mask, ((left + width / 2, top + height / 2), (width, height), 0), 255, cv2.FILLED)
    return mask
