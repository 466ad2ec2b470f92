"""Inputs of other sizes than 224 x 224: manifest, preprocessing, heat maps."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from birads_app.imaging.decode import Mammogram
from birads_app.imaging.segmentation import breast_mask
from birads_app.model import bundles
from birads_app.model.occlusion import breast_cells, occlude, places, render_heat_maps
from birads_app.model.preprocess import InputSize, prepare
from birads_app.terms.errors import BundleError
from tests.support import factories


def mammogram_of(pixels: np.ndarray) -> Mammogram:
    return Mammogram(np.ascontiguousarray(pixels), "PNG", 16, None, None, None, 0.0, ())


@pytest.mark.parametrize(
    ("size", "stored", "shown"),
    [(InputSize(448, 448), 448, "448"), (InputSize(896, 448), [896, 448], "896x448")],
)
def test_a_manifest_keeps_a_side_or_height_and_width(size: InputSize, stored: object, shown: str) -> None:
    assert size.to_json() == stored and str(size) == shown
    assert InputSize.from_json(json.loads(json.dumps(stored))) == size


@pytest.mark.parametrize("size", [16, [896], [896, 16], [1, 2, 3], "large", None])
def test_a_bundle_of_an_impossible_size_is_refused(tiny_models: Path, tmp_path: Path, size: object) -> None:
    path = shutil.copytree(tiny_models / "birads-demo", tmp_path / "birads-demo")
    manifest = json.loads((path / bundles.MANIFEST).read_text())
    manifest["preprocessing"]["size"] = size
    (path / bundles.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="incomplete"):
        bundles.load(path)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [InputSize(96, 64), InputSize(64, 96), InputSize(320, 80)])
def test_the_breast_keeps_its_shape_and_place_in_a_frame(size: InputSize, mirrored: bool) -> None:
    pixels = factories.breast(650, 518, seed=5)
    mammogram = mammogram_of(pixels[:, ::-1] if mirrored else pixels)
    framed, square = prepare(mammogram, size), prepare(mammogram, InputSize.square(96))
    assert framed.grey.shape == framed.breast_mask.shape == size and framed.flipped == square.flipped
    assert framed.box.height / framed.box.width == pytest.approx(size.height / size.width, rel=0.01)
    in_image = [
        breast_mask(one.breast_mask, one.box, one.flipped, mammogram.pixels.shape) > 0.5
        for one in (framed, square)
    ]
    assert (in_image[0] & in_image[1]).sum() > 0.95 * (in_image[0] | in_image[1]).sum()


def test_cells_of_a_large_map_are_hidden_in_blocks() -> None:
    assert [places(shape) for shape in ((7, 7, 2), (14, 10, 2), (28, 14, 2), (15, 20, 2))] == [
        (7, 7), (14, 10), (14, 7), (8, 10),
    ]  # fmt: skip
    maps = np.ones((28, 14, 1), np.float32)
    copies = np.concatenate(list(occlude(maps)))
    assert copies.shape == (1 + 2 * 14 * 7, 28, 14, 1)
    hidden = copies[..., 0] == 0
    assert not hidden[0].any() and np.array_equal(hidden[1 : 1 + 98].sum(axis=0), np.ones((28, 14)))
    assert np.argwhere(hidden[1 + 7 + 2]).tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]


def test_the_heat_map_of_a_frame_lies_over_the_breast() -> None:
    mammogram = mammogram_of(factories.breast(650, 518, seed=5))
    seen = prepare(mammogram, InputSize(96, 64))
    heat = breast_cells(seen.breast_mask, 3, 2).astype(np.float32)
    alpha = render_heat_maps(seen, {"4": heat})["4"][..., 3] > 0
    breast = breast_mask(seen.breast_mask, seen.box, seen.flipped, seen.shape) > 0
    assert alpha.shape == breast.shape and (alpha & breast).sum() > 0.7 * breast.sum()
