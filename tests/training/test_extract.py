"""Feature extraction with its caches."""

import os
from pathlib import Path

import numpy as np
import pytest

from birads_app.imaging.decode import decode
from birads_app.model import preprocess
from birads_app.model.preprocess import InputSize
from training.config import Site
from training.data import loader
from training.data.dataset import DatasetListing, listing
from training.data.loader import ImageLoader, LoadedImage, load_dataset
from training.features.extract import Features, extract
from training.features.extractor import Extractor, from_bundle
from training.heads import CnnLstmHead, DenseHead, Head
from training.phantoms.generate import write_set


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> DatasetListing:
    """Eight small phantoms of two patients."""
    return listing(write_set(tmp_path_factory.mktemp("data") / "phantoms", 2, seed=8, size=256).parent)


@pytest.fixture(scope="module")
def backbone(tiny_models: Path) -> Extractor:
    return from_bundle(tiny_models / "birads-demo", "openvino", "bf16")


@pytest.fixture
def extracted(data: DatasetListing, backbone: Extractor, tiny_models: Path):
    def run(cache: Path, kind: Head) -> Features:
        loaded = load_dataset(data, cache, backbone.size)
        return extract(loaded.images, loaded.prepared, backbone, kind, Site(tiny_models, cache))

    return run


def test_features_are_extracted_and_cached(extracted, backbone: Extractor, tmp_path: Path) -> None:
    first, second = (extracted(tmp_path, DenseHead()) for _ in range(2))
    assert first.array.shape == (8, 4096) and first.map_shape == (7, 7, 2048) and not first.rejected
    assert (first.cached, second.cached) == (0, 8)
    assert (np.asarray(first.array) == np.asarray(second.array)).all()
    path = first.dataset.examples[7].path
    grey = preprocess.prepare(decode(path.read_bytes(), path.name), backbone.size).grey
    maps = backbone.maps(preprocess.standardise(grey[None])).astype(np.float16)
    expected = DenseHead().features(maps.astype(np.float32)).astype(np.float16)
    assert np.allclose(first.array[7:8], expected, atol=2e-3, rtol=2e-3)


def test_prepared_images_and_masks_are_kept_exactly(data: DatasetListing, tmp_path: Path) -> None:
    loaded = load_dataset(data, tmp_path, size=InputSize(100, 60))
    kept = loaded.prepared.inputs([one.digest for one in loaded.images])
    for one, image in zip(loaded.images, kept, strict=True):
        path = one.example.path
        fresh = preprocess.prepare(decode(path.read_bytes(), path.name), InputSize(100, 60))
        assert np.array_equal(image.grey, fresh.grey)
        assert np.array_equal(image.breast_mask, fresh.breast_mask) and image.breast_mask.any()


def test_pooled_rows_are_computed_from_stored_maps(extracted, tmp_path: Path) -> None:
    """Maps cannot be recovered from pooled rows."""
    whole = extracted(tmp_path / "one", CnnLstmHead())
    assert whole.cached == 0 and whole.array.shape == (8, 7 * 7 * 2048)
    derived, fresh = extracted(tmp_path / "one", DenseHead()), extracted(tmp_path / "two", DenseHead())
    assert derived.cached == 8
    assert (np.asarray(derived.array) == np.asarray(fresh.array)).all()
    again = extracted(tmp_path / "two", CnnLstmHead())
    assert again.cached == 0 and (np.asarray(again.array) == np.asarray(whole.array)).all()


def test_an_unchanged_file_is_not_read_again(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loader, "_SETTLED_S", 0)
    first = list(ImageLoader(tmp_path).load(data.found))
    with monkeypatch.context() as patch:
        patch.delattr(Path, "open")
        assert list(ImageLoader(tmp_path).load(data.found)) == first


def test_a_recently_changed_file_is_read_again(data, tmp_path, monkeypatch) -> None:
    """Time stamps may be too coarse to show a second change."""
    monkeypatch.setattr(loader, "_SETTLED_S", 1e9)
    first = list(ImageLoader(tmp_path).load(data.found[:2]))
    read, original = [], Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode: read.append(path) or original(path, mode))
    assert list(ImageLoader(tmp_path).load(data.found[:2])) == first
    assert sorted(read) == sorted(example.path for example in data.found[:2])


def test_changed_content_is_noticed_with_equal_size_and_time(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loader, "_SETTLED_S", 0)
    path = tmp_path / data.found[0].path.name
    content = data.found[0].path.read_bytes()
    path.write_bytes(content)
    os.utime(path, ns=(10**18, 10**18))
    example = read_one(path)

    def digest() -> LoadedImage:
        (seen,) = ImageLoader(tmp_path / "cache").load([example])
        return seen

    before = digest()
    assert not before.reason and digest() == before
    with path.open("r+b") as stream:
        stream.seek(len(content) // 2)
        stream.write(bytes(32))
    os.utime(path, ns=(10**18, 10**18))
    assert digest() != before


def read_one(path: Path):
    return loader.Example(path, "1", "P1", known=True)
