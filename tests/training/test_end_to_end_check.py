"""End-to-end check: location of heat map peaks, thresholds, command."""

from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.imaging.segmentation import Box
from birads_app.model.preprocess import ModelInput
from training.cli.commands import register
from training.phantoms.check import CheckResult, overlaps, peak_cell


def peak(row: int, column: int, *, flipped: bool = False, height: float = 1.0) -> Box | None:
    """Return the peak of a heat map with one, over the square from (10, 20) with a side of 70 pixels."""
    heat = np.zeros((7, 7), np.float32)
    heat[row, column] = height
    grey, mask = np.zeros((9, 9), np.uint8), np.ones((9, 9), bool)
    return peak_cell(heat, ModelInput(grey, mask, Box(10, 20, 70, 70), flipped, (100, 100)))


def test_the_peak_is_the_cell_with_the_highest_value() -> None:
    assert peak(2, 6) == Box(30, 80, 10, 10)


def test_the_heat_map_of_a_mirrored_image_is_mirrored_back() -> None:
    assert peak(2, 6, flipped=True) == Box(30, 20, 10, 10)


def test_a_heat_map_of_zeros_has_no_peak() -> None:
    assert peak(0, 0, height=0) is None


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Box(0, 0, 11, 11), True),
        (Box(12, 12, 2, 2), True),
        (Box(0, 0, 10, 30), False),
        (Box(10, 20, 10, 10), False),
    ],
)
def test_boxes_overlap_when_they_share_a_pixel(other: Box, expected: bool) -> None:
    assert overlaps(Box(10, 10, 10, 10), other) is expected
    assert overlaps(other, Box(10, 10, 10, 10)) is expected


@pytest.mark.parametrize(("f1", "overlap", "passed"), [(0.9, 0.85, True), (0.89, 1, False), (1, 0.84, False)])
def test_both_figures_have_to_reach_their_thresholds(f1: float, overlap: float, passed: bool) -> None:
    assert CheckResult(f1, overlap, 400, 240).passed is passed


def test_an_unknown_head_is_refused_before_phantoms_are_drawn(app: Flask, runner: FlaskCliRunner) -> None:
    register(app)
    result = runner.invoke(args=["end-to-end-check", "--head", "forest"])
    assert result.exit_code == 1 and "--head has to be one of" in result.output
    assert "Writing phantoms" not in result.output


@pytest.mark.slow
@pytest.mark.usefixtures("small_network")
def test_the_command_prints_the_figures_and_writes_no_model(
    app: Flask, runner: FlaskCliRunner, folder: Path
) -> None:
    result = runner.invoke(args=["end-to-end-check", "--train-patients", "10", "--test-patients", "5"])
    assert "Macro F1 on held-out patients (20 images)" in result.output, result.output
    assert result.exit_code == (0 if "Check passed." in result.output else 1)
    assert sorted(path.name for path in folder.iterdir()) == ["CURRENT", "birads-demo"]
