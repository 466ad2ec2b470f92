"""Aggregation of images to breasts and the exam."""

from typing import NamedTuple

import numpy as np
import pytest

from birads_app.model.aggregation import POOLING, aggregate, pool
from birads_app.model.image_prediction import ImagePrediction


class PredictedImage(NamedTuple):
    laterality: str | None
    view: str | None
    prediction: ImagePrediction
    standard: bool = True


def predicted(probabilities: dict[str, float]) -> ImagePrediction:
    return ImagePrediction(max(probabilities, key=probabilities.__getitem__), probabilities)


def view(
    laterality: str | None, name: str | None, *probabilities: float, standard: bool = True
) -> PredictedImage:
    prediction = predicted(dict(zip("12345", probabilities, strict=True)))
    return PredictedImage(laterality, name, prediction, standard)


CALM = (0.6, 0.2, 0.1, 0.1, 0.0)
WORRIED = (0.0, 0.1, 0.1, 0.2, 0.6)
PROBABLY_BENIGN = (0.1, 0.1, 0.6, 0.1, 0.1)


@pytest.mark.parametrize("rule", POOLING)
def test_a_breast_with_one_view_keeps_its_probabilities(rule: str) -> None:
    assert pool([view("L", "CC", *CALM).prediction.probabilities], rule) == pytest.approx(
        dict(zip("12345", CALM, strict=True)), abs=1e-6
    )


def test_each_pooling_combines_views() -> None:
    both = [
        view("L", "CC", *CALM).prediction.probabilities,
        view("L", "MLO", *PROBABLY_BENIGN).prediction.probabilities,
    ]
    assert list(pool(both, "mean").values()) == pytest.approx([0.35, 0.15, 0.35, 0.1, 0.05])
    product = np.sqrt(np.maximum(CALM, 1e-9) * np.array(PROBABLY_BENIGN))
    assert list(pool(both, "product").values()) == pytest.approx(product / product.sum())
    assert list(pool(both, "worst").values()) == pytest.approx(PROBABLY_BENIGN)
    with pytest.raises(KeyError):
        pool(both, "loudest")


def test_the_more_suspicious_breast_determines_the_exam() -> None:
    found = aggregate(
        [view("R", "CC", *CALM), view("R", "MLO", *CALM), view("L", "CC", *WORRIED), view("L", "MLO", *CALM)],
        "worst",
    )
    assert found is not None
    assert [(breast.laterality, breast.category) for breast in found.breasts] == [("R", "1"), ("L", "5")]
    assert (found.category, found.absent, found.left_out) == ("5", (), 0)
    assert all(breast.missing == () for breast in found.breasts)


def test_missing_views_and_sides_are_named() -> None:
    found = aggregate([view("R", "MLO", *CALM)], "mean")
    assert found is not None
    assert found.breasts[0].missing == ("CC",) and found.absent == ("L",)


def test_an_unknown_view_or_side_is_not_reported_as_missing() -> None:
    found = aggregate([view(None, None, *CALM), view("R", None, *WORRIED)], "mean")
    assert found is not None
    assert [breast.laterality for breast in found.breasts] == ["R", None]
    assert found.absent == () and all(breast.missing == () for breast in found.breasts)


def test_special_views_are_excluded() -> None:
    found = aggregate([view("L", "CC", *WORRIED, standard=False), view("L", "CC", *CALM)], "worst")
    assert found is not None
    assert (found.category, found.left_out, found.breasts[0].views) == ("1", 1, ("CC",))
    assert aggregate([view("L", "CC", *WORRIED, standard=False)], "mean") is None


def test_category_0_ranks_between_3_and_4() -> None:
    def exam(right: str, left: str) -> str:
        images = [
            PredictedImage(side, "CC", predicted({code: float(code == named) for code in "0123456"}))
            for side, named in (("R", right), ("L", left))
        ]
        found = aggregate(images, "mean")
        assert found is not None
        return found.category

    assert exam("3", "0") == "0" and exam("0", "4") == "4" and exam("6", "3") == "6"
