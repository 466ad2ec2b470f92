"""Resolution check: its phantoms, thresholds, command."""

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from training.cli.commands import register
from training.evaluation.bootstrap import Interval
from training.phantoms.resolution import ResolutionResult, write_images
from training.phantoms.shapes import Patch
from training.phantoms.synthetic_findings import _DRAW, FINE_FINDINGS


def calcium(kind: str) -> np.ndarray:
    """Draw a group of the usual size in an image of 2,048 pixels."""
    found = _DRAW[kind](Patch(110, 290, 0.3, np.random.default_rng(4))).calcium
    assert found is not None
    return found


def test_the_kinds_differ_at_896_pixels_and_hardly_at_224() -> None:
    smeared, sharp = (calcium(FINE_FINDINGS[category]) for category in ("2", "4"))
    assert smeared.sum() == pytest.approx(sharp.sum(), rel=0.01)

    def difference(scale: float) -> float:
        seen = [
            cv2.resize(one, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for one in (smeared, sharp)
        ]
        return float((seen[0] - seen[1]).std())

    # Scales for the breast, which fills about 0.75 of the height.
    assert difference(896 / 1536) > 5 * difference(224 / 1536)


@pytest.mark.parametrize(
    ("small", "large", "passed"), [(0.6, 0.9, True), (0.61, 0.95, False), (0.5, 0.89, False)]
)
def test_it_passes_only_if_the_large_input_reads_what_the_small_one_does_not(
    small: float, large: float, passed: bool
) -> None:
    result = ResolutionResult(Interval(small, 0, 1), Interval(large, 0, 1), 64)
    assert result.passed is passed and ("Check passed." in result.summary) is passed


def test_too_few_patients_are_refused(app: Flask, runner: FlaskCliRunner) -> None:
    register(app)
    result = runner.invoke(args=["resolution-check", "--patients", "5"])
    assert result.exit_code == 2 and "--patients" in result.output


def test_both_categories_have_as_many_patients_with_one_image_each(tmp_path) -> None:
    write_images(tmp_path, 8, seed=3, height=512)
    names = [sorted(path.name for path in (tmp_path / f"Birads{code}").iterdir()) for code in FINE_FINDINGS]
    assert [len(found) for found in names] == [4, 4]
    assert len({name.split("_")[0] for found in names for name in found}) == 8
