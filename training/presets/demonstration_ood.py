"""What tells strange images for a model of the shipped recipe, and what it notes among images of many kinds.

The images it learned from are read, and drawn, anew; the model itself stays as it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from birads_app.imaging import quality
from birads_app.imaging.decode import Mammogram
from birads_app.model import bundles, ood
from birads_app.model.bundles import Bundle
from birads_app.model.engine import open_engine
from birads_app.model.ood import OodDetector
from birads_app.model.preprocess import prepare
from birads_app.terms.errors import ModelError, NotAMammogram
from training.config import Site
from training.evaluation import ood_test_images
from training.presets import demonstration_data
from training.presets.demonstration_data import CESM, DDSM, KAU, PHANTOMS, Material
from training.presets.model_comparison import Judge, in_parts
from training.report.text import markdown_table

# Of phantoms and drawings to try, apart from those that models learn from and that tests use.
_SEED, _PATIENTS, _DRAWINGS = 990_000, 25, 60


@dataclass(frozen=True)
class OodTest:
    """Images of one kind.

    refused : that are no mammograms to :mod:`birads_app.imaging.quality`
    images, flagged : the others, and those of them that are flagged as out-of-distribution
    auc : of the distance, these against the test images of the training's own sources; 0.5 is chance
    """

    title: str
    refused: int
    images: int
    flagged: int
    auc: float


def fit(path: Path, data: Path, site: Site) -> str:
    """Fit to what a bundle learned from, try it, add both to the bundle, and give the card's section.

    Parameters
    ----------
    path : of a bundle that the shipped recipe made
    data : folder with the public sets

    Raises
    ------
    ModelError
        The bundle is damaged, of another recipe, or learned from other images than are in ``data``.
    DatasetError
        A set is missing.
    """
    bundle = bundles.load(path)
    recipe = _data_settings(bundle)
    material = demonstration_data.read(
        data, bundle.size, validation=recipe.validation, test=recipe.test, seed=recipe.seed
    )
    _check(bundle, material)
    features = in_parts(open_engine(bundle, site.engine, site.precision).maps, ood.average)
    phantoms = demonstration_data.draw_phantoms(recipe.phantom_patients, recipe.phantom_seed, bundle.size)
    training = features(np.concatenate([_part(material, "training"), phantoms.squares]))
    known = ood.fit(training, features(_part(material, "validation")))
    tried = list(_try(known, features, material, bundle.size))
    section = card(known, tried)
    figures = {
        "known": len(known.training_points),
        "tried": len(known.tried),
        "kinds": [asdict(one) for one in tried],
    }
    bundles.add_ood_detector(path, known, section, figures)
    return section


def card(known: OodDetector, tried: Sequence[OodTest]) -> str:
    """The card's section, in Markdown."""
    rows = [
        [
            one.title,
            str(one.images),
            f"{one.flagged} ({_percent(one.flagged, one.images)})",
            str(one.refused),
            f"{one.auc:.2f}",
        ]
        for one in tried
    ]
    learned = len(known.training_points)
    return f"""\
## Images unlike those it learned from

A warning says where an image is further from the {learned} that the model learned from than 99 in 100 of
the validation patients' {len(known.tried)}. What counts is the distance to the nearest one, between averages of the
last feature map. Among images that the quality check lets through it was given to:

{markdown_table(["images", "tried", "called unlike", "refused before", "area under the curve"], rows)}

The area is that of the distance, against the test images of the first two rows together; 0.5 is chance. Negatives,
turned and cropped images are these test images too. Drawings are rough. The way to measure was chosen among several
on the same kinds of images. A mammogram from elsewhere or a careless crop is seldom noticed, and an image upside down
hardly ever: no warning is no sign that an answer is right. Made by `flask models fit-ood`.
"""


@dataclass(frozen=True)
class _DataSettings:
    """What of the recipe's knobs decides which images a model learned from."""

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
            f"{bundle.name} was not trained with the preset of the shipped model. Retrain it: `flask train` "
            "fits the OOD detector of every model."
        ) from error


def _check(bundle: Bundle, material: Material) -> None:
    """See that the images at hand fall into the parts that the model was trained with."""
    told = bundle.manifest["training"].get("images", {})
    for name, part in material.parts.items():
        found = [len(part.training), len(part.validation), len(part.test)]
        if told.get(name) != found:
            raise ModelError(
                f"{bundle.name} was trained with other images: {name} had {told.get(name)}, but this folder has "
                f"{found}. Give the folder that it was trained on."
            )


def _part(material: Material, part: str) -> np.ndarray:
    """Squares of one part of both sets, uint8 (n, size, size)."""
    return np.concatenate(
        [material.sources[name].squares[getattr(material.parts[name], part)] for name in (CESM, DDSM)]
    )


def _try(known: OodDetector, features: Judge, material: Material, size: int) -> Iterator[OodTest]:
    """Images of the training's own sources first, then the others."""
    from sklearn.metrics import roc_auc_score

    own = known.distances(features(_part(material, "test")))

    def tried(title: str, squares: np.ndarray, refused: int = 0) -> OodTest:
        found = features(squares)
        distances = np.concatenate([known.distances(found), own])
        strange = np.arange(len(distances)) < len(found)
        return OodTest(
            title, refused, len(found), int(known.is_ood(found).sum()), roc_auc_score(strange, distances)
        )

    for name in (CESM, DDSM):
        source, rows = material.sources[name], material.parts[name].test
        yield tried(f"{name}, test patients", source.squares[rows])
    yield tried(f"{KAU}, never trained on", material.sources[KAU].squares)
    fresh = demonstration_data.draw_phantoms(_PATIENTS, _SEED, size)
    yield tried(f"{PHANTOMS} of other seeds", fresh.squares)
    for title, pictures in _pictures(_part(material, "test")):
        squares = [square for square in (_seen(picture, size) for picture in pictures) if square is not None]
        if squares:
            yield tried(title, np.stack(squares), len(pictures) - len(squares))


def _pictures(test: np.ndarray) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Altered test images, and drawings, by kind."""
    wide = [square.astype(np.uint16) * np.uint16(257) for square in test]
    for title, alter in ood_test_images.ALTERED.items():
        yield title, [alter(pixels) for pixels in wide]
    for title, draw in ood_test_images.DRAWN.items():
        yield title, list(ood_test_images.drawings(draw, _DRAWINGS, _SEED))


def _seen(pixels: np.ndarray, size: int) -> np.ndarray | None:
    """The square that a model would see of a picture, uint16 (height, width); None where it is refused."""
    mammogram = Mammogram(pixels, "PNG", 16, None, None, None, 0.0, ())
    try:
        quality.check(mammogram)
    except NotAMammogram:
        return None
    return prepare(mammogram, size).grey


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %"
