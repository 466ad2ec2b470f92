"""Data sets of the demonstration model: public sets and phantoms.

A label other than a BI-RADS category stands for a set of categories: normal for 1 or 2, benign for 2, 3 or 4, cancer
for 4 or 5. The loss sums the probabilities of the set.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from birads_app.imaging import view_filename
from birads_app.imaging.decode import Mammogram, decode
from birads_app.model import training_digests
from birads_app.model.preprocess import InputSize, ModelInput, prepare
from birads_app.model.training_digests import TrainingDigests, content_digest
from training.data import outlines, perceptual_hash
from training.data.dataset import read_folder
from training.data.patient_ids import from_name
from training.data.split import Split, by_patient
from training.errors import DatasetError
from training.phantoms import generate
from training.phantoms.image import WHITE

CLASSES = ("1", "2", "3", "4", "5")
LABEL_SETS = {"normal": "12", "benign": "234", "cancer": "45", **{code: code for code in CLASSES}}

CESM, DDSM, KAU, PHANTOMS = "CDD-CESM", "DDSM", "KAU-BCMD", "phantoms"
# Masks of the findings: black and white images with the same file names.
_MASKS = {CESM: "cdd-cesm-low-energy-masks"}
_FOLDERS = {CESM: "cdd-cesm-low-energy", DDSM: "ddsm-thumbnails", KAU: "kau-bcmd-sample"}
# Labels of each source, and its licence with citation, for the model card.
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
    """Preprocessed images of one source.

    squares : uint8 array (n, size, size)
    labels : n labels of the source, keys of LABEL_SETS
    patients : n patient ids
    sides : n times ``"L"``, ``"R"`` or empty
    masks : uint8 array (n, size, size), 255 inside a finding, 0 elsewhere
    has_mask : bool array (n,), False for images whose findings are not localised
    contents : digests of the n files; empty for images without files
    hashes : perceptual hashes of the n images
    """

    name: str
    squares: np.ndarray
    labels: tuple[str, ...]
    patients: tuple[str, ...]
    sides: tuple[str, ...]
    masks: np.ndarray
    has_mask: np.ndarray
    contents: tuple[bytes, ...] = ()
    hashes: tuple[bytes, ...] = ()

    @property
    def label_sets(self) -> np.ndarray:
        """Categories that each image's label allows, bool (n, 5)."""
        return np.array([[code in LABEL_SETS[label] for code in CLASSES] for label in self.labels])

    def weights(self, total: float) -> np.ndarray:
        """Return sampling weights that sum to ``total``, proportional to 1 / sqrt(frequency of the label)."""
        names, index, counts = np.unique(self.labels, return_inverse=True, return_counts=True)
        weight = 1 / np.sqrt(counts[index])
        return np.asarray(total * weight / weight.sum())

    def split(self, validation: float, test: float, seed: int) -> Split:
        """Split by patient."""
        names, index = np.unique(self.labels, return_inverse=True)
        return by_patient(self.patients, index, list(names), validation=validation, test=test, seed=seed)


@dataclass(frozen=True)
class PublicSets:
    """The public sets by name, and the splits by patient of those used in training."""

    sources: dict[str, Source]
    splits: dict[str, Split]

    def trained_on(self, more: Source) -> TrainingDigests:
        """Return the digests of the images in training and validation sets, and of another source."""
        found = training_digests.NOTHING
        used = [(more, np.arange(len(more.hashes)))]
        used += [(self.sources[name], _fitted_to(split)) for name, split in self.splits.items()]
        for source, rows in used:
            contents = [source.contents[row] for row in rows] if source.contents else []
            hashes = [source.hashes[row] for row in rows]
            found = found.with_more(contents, hashes, (), perceptual_hash.VERSION)
        return found


def _fitted_to(split: Split) -> np.ndarray:
    return np.concatenate([split.training, split.validation])


def read(data: Path, size: int, *, validation: float, test: float, seed: int) -> PublicSets:
    """Read and split the public sets in the folder ``data``; raises DatasetError if one is missing."""
    sources = {name: _read_source(data, name, size) for name in (CESM, DDSM, KAU)}
    return PublicSets(sources, {name: sources[name].split(validation, test, seed) for name in (CESM, DDSM)})


def _read_source(data: Path, name: str, size: int) -> Source:
    """Read one of the public sets."""
    folder = data / _FOLDERS[name]
    if not folder.is_dir():
        raise DatasetError(f"The demonstration model needs the folder {_FOLDERS[name]} in {data}.")
    if name == DDSM:
        rows = [
            (path, path.parent.name, from_name(path.name) or path.stem)
            for path in sorted(folder.glob("*/*.png"))
            if path.parent.name in LABEL_SETS
        ]
    else:
        examples = read_folder(folder, tuple(c for c in CLASSES if (folder / f"Birads{c}").is_dir())).examples
        rows = [(example.path, example.category, example.patient) for example in examples]
    with ThreadPoolExecutor() as pool:
        inputs = pool.map(lambda row: _read_image(row[0], _mask(data, name, row[0]), size), rows)
        found = list(tqdm(inputs, total=len(rows), desc=name, unit="image", mininterval=5))
    prepared, contents, masks = zip(*found, strict=True)
    empty = np.zeros((size, size), np.uint8)
    return Source(
        name,
        np.stack([one.grey for one in prepared]),
        tuple(row[1] for row in rows),
        tuple(row[2] for row in rows),
        tuple(view_filename.from_name(row[0].name)[0] or "" for row in rows),
        np.stack([empty if mask is None else mask for mask in masks]),
        np.array([row[1] == "normal" or mask is not None for row, mask in zip(rows, masks, strict=True)]),
        contents,
        tuple(perceptual_hash.compute(one) for one in prepared),
    )


def _mask(data: Path, name: str, image: Path) -> bytes | None:
    """Read the mask of an image's findings; None if there is none."""
    path = data / _MASKS[name] / image.name if name in _MASKS else None
    return path.read_bytes() if path and path.is_file() else None


def _read_image(path: Path, mask: bytes | None, size: int) -> tuple[ModelInput, bytes, np.ndarray | None]:
    """Prepare an image; return it with the digest of its file and the outline of its findings."""
    data, square = path.read_bytes(), InputSize.square(size)
    mammogram = decode(data)
    outline = None if mask is None else outlines.read(mask, mammogram.pixels, square)
    return prepare(mammogram, square), content_digest(hashlib.sha256(data).digest()), outline


def draw_phantoms(patients: int, seed: int, size: int) -> Source:
    """Draw phantoms, the only source in which the findings of all five categories follow the lexicon."""
    squares, labels, names, sides, masks, hashes = [], [], [], [], [], []
    for patient, image in tqdm(
        generate.patients(patients, seed), total=4 * patients, desc=PHANTOMS, unit="image", mininterval=5
    ):
        pixels = (image.pixels.astype(np.uint32) * 65535 // WHITE).astype(np.uint16)
        mammogram = Mammogram(pixels, "PNG", 12, image.view, image.laterality, None, 0.0, ())
        prepared = prepare(mammogram, InputSize.square(size))
        squares.append(prepared.grey)
        hashes.append(perceptual_hash.compute(prepared))
        labels.append(image.category)
        names.append(patient)
        sides.append(image.laterality)
        masks.append(outlines.fit(image.outline, pixels, InputSize.square(size)))
    has_mask = np.ones(len(squares), bool)
    texts = (tuple(labels), tuple(names), tuple(sides))
    return Source(PHANTOMS, np.stack(squares), *texts, np.stack(masks), has_mask, hashes=tuple(hashes))
