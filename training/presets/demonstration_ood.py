"""OOD detector of the demonstration model, and its results on images of many kinds.

The phantoms of the training are drawn again; the model itself does not change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.imaging import quality
from birads_app.imaging.decode import Mammogram
from birads_app.model import bundles, ood
from birads_app.model.bundles import Bundle
from birads_app.model.engine import open_engine
from birads_app.model.ood import OodDetector
from birads_app.model.preprocess import InputSize, prepare
from birads_app.terms.errors import ModelError, NotAMammogram
from training.config import Site
from training.evaluation import ood_test_images
from training.presets import demonstration_data
from training.presets.demonstration_data import CESM, DDSM, KAU, PHANTOMS, PublicSets
from training.presets.model_comparison import ImageFunction, in_batches
from training.report.text import markdown_table

# Seed and numbers of phantom patients and drawings; the seed is not used in training or tests.
_SEED, _PATIENTS, _DRAWINGS = 990_000, 25, 60


@dataclass(frozen=True)
class OodTest:
    """Results on images of one kind.

    rejected : number of images rejected by :mod:`birads_app.imaging.quality`
    images, flagged : number of the other images, and of those flagged as out-of-distribution
    auc : AUC of the distance against the test images of the sources used in training; 0.5 is chance
    """

    title: str
    rejected: int
    images: int
    flagged: int
    auc: float


def fit(path: Path, data: Path, site: Site) -> str:
    """Read the training images again, and fit and test the OOD detector as :func:`fit_on`.

    Parameters
    ----------
    path : a bundle of the demonstration preset
    data : folder with the public sets

    Raises
    ------
    ModelError
        The bundle is damaged, of another preset, or was trained on other images than those in ``data``.
    DatasetError
        A set is missing.
    """
    bundle = bundles.load(path)
    settings = _data_settings(bundle)
    sets = demonstration_data.read(
        data, bundle.size.height, validation=settings.validation, test=settings.test, seed=settings.seed
    )
    _check(bundle, sets)
    return fit_on(bundle, sets, site)


def fit_on(bundle: Bundle, sets: PublicSets, site: Site) -> str:
    """Fit and test the OOD detector, add it to the bundle, and return its section of the model card.

    Parameters
    ----------
    sets : the images that the bundle was trained on; raises ModelError for a bundle of another preset
    """
    settings = _data_settings(bundle)
    features = in_batches(open_engine(bundle, site.engine, site.precision).maps, ood.average)
    phantoms = demonstration_data.draw_phantoms(
        settings.phantom_patients, settings.phantom_seed, bundle.size.height
    )
    training = features(np.concatenate([_squares(sets, "training"), phantoms.squares]))
    detector = ood.fit(training, features(_squares(sets, "validation")))
    tests = list(_test(detector, features, sets, bundle.size.height))
    figures = {
        "training_images": len(detector.training_points),
        "validation_images": len(detector.tried),
        "tests": [asdict(test) for test in tests],
    }
    section = card(figures)
    bundles.add_ood_detector(bundle.path, detector, section, figures)
    return section


def card(figures: Mapping[str, Any]) -> str:
    """Return the detector's section of the model card in Markdown, from the manifest's entry ``ood``."""
    tests = [OodTest(**test) for test in figures["tests"]]
    rows = [
        [
            test.title,
            str(test.images),
            f"{test.flagged} ({_percent(test.flagged, test.images)})",
            str(test.rejected),
            f"{test.auc:.2f}",
        ]
        for test in tests
    ]
    known, tried = figures["training_images"], figures["validation_images"]
    return f"""\
## Out-of-distribution images

An image is flagged as out-of-distribution (OOD) if it is further from the {known} training
images than 99 % of the {tried} validation images. The distance is that to the nearest training image,
between averages of the last feature map. Results on images that pass the quality check:

{markdown_table(["images", "tested", "flagged", "rejected before", "AUC"], rows)}

AUC of the distance against the test images of the first two rows; 0.5 is chance. Negatives, rotated and cropped images
were made from these test images. Drawings are rough. The method was chosen among several on the same kinds of images.
Mammograms of another source and careless crops are seldom flagged, upside-down images hardly ever: an image without a
warning may still be out of distribution. Written by `flask models fit-ood`.
"""


@dataclass(frozen=True)
class _DataSettings:
    """Hyperparameters that determine the training images."""

    seed: int
    validation: float
    test: float
    phantom_patients: int
    phantom_seed: int


def _data_settings(bundle: Bundle) -> _DataSettings:
    training = bundle.manifest.get("training", {})
    try:
        return _DataSettings(**{field.name: training[field.name] for field in fields(_DataSettings)})
    except KeyError as error:
        raise ModelError(
            f"{bundle.name} was not trained with the demonstration preset. Retrain it: `flask train` "
            "fits the OOD detector of every model."
        ) from error


def _check(bundle: Bundle, sets: PublicSets) -> None:
    """Raise ModelError unless the images match those of the training."""
    trained = bundle.manifest["training"].get("images", {})
    for name, split in sets.splits.items():
        counts = [len(split.training), len(split.validation), len(split.test)]
        if trained.get(name) != counts:
            raise ModelError(
                f"{bundle.name} was trained with other images: {name} had {trained.get(name)}, but this folder has "
                f"{counts}. Give the folder that it was trained on."
            )


def _squares(sets: PublicSets, subset: str) -> np.ndarray:
    """Images of one subset of both sources, uint8 (n, size, size)."""
    return np.concatenate(
        [sets.sources[name].squares[getattr(sets.splits[name], subset)] for name in (CESM, DDSM)]
    )


def _test(detector: OodDetector, features: ImageFunction, sets: PublicSets, size: int) -> Iterator[OodTest]:
    """Test the detector: first on test images of the sources used in training, then on others."""
    from sklearn.metrics import roc_auc_score

    own = detector.distances(features(_squares(sets, "test")))

    def result(title: str, squares: np.ndarray, rejected: int = 0) -> OodTest:
        new = features(squares)
        distances = np.concatenate([detector.distances(new), own])
        is_new = np.arange(len(distances)) < len(new)
        return OodTest(
            title, rejected, len(new), int(detector.is_ood(new).sum()), roc_auc_score(is_new, distances)
        )

    for name in (CESM, DDSM):
        source, rows = sets.sources[name], sets.splits[name].test
        yield result(f"{name}, test patients", source.squares[rows])
    yield result(f"{KAU}, not used in training", sets.sources[KAU].squares)
    fresh = demonstration_data.draw_phantoms(_PATIENTS, _SEED, size)
    yield result(f"{PHANTOMS} of other seeds", fresh.squares)
    for title, images in _images(_squares(sets, "test")):
        squares = [square for square in (_model_input(image, size) for image in images) if square is not None]
        if squares:
            yield result(title, np.stack(squares), len(images) - len(squares))


def _images(test: np.ndarray) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Altered test images and drawings, by kind."""
    images = [square.astype(np.uint16) * np.uint16(257) for square in test]
    for title, alter in ood_test_images.ALTERED.items():
        yield title, [alter(pixels) for pixels in images]
    for title, draw in ood_test_images.DRAWN.items():
        yield title, list(ood_test_images.drawings(draw, _DRAWINGS, _SEED))


def _model_input(pixels: np.ndarray, size: int) -> np.ndarray | None:
    """Preprocess an image, uint16 (height, width); None if the quality check rejects it."""
    mammogram = Mammogram(pixels, "PNG", 16, None, None, None, 0.0, ())
    try:
        quality.check(mammogram)
    except NotAMammogram:
        return None
    return prepare(mammogram, InputSize.square(size)).grey


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %"
