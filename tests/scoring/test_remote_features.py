"""Features of a training, computed by the workers of a cluster."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from birads_app.cluster.connection import WorkerDiffers, local_cluster
from tests.support.factories import mammogram_png
from training.config import Site
from training.data.dataset import listing
from training.data.loader import LoadedDataset, load_dataset
from training.features import remote_features
from training.features.extract import Features, extract
from training.features.extractor import Extractor, from_bundle
from training.heads import CnnLstmHead, DenseHead, Head

IMAGES = 150


pytestmark = pytest.mark.slow  # several processes with the libraries of a cluster


@pytest.fixture(scope="module")
def backbone(tiny_models: Path) -> Extractor:
    return from_bundle(tiny_models / "birads-demo", "openvino", "f32")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, backbone: Extractor) -> LoadedDataset:
    """Load some different pictures of two categories."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(IMAGES):
        (folder / f"Birads{1 + number % 2}").mkdir(exist_ok=True)
        picture = mammogram_png(number)
        (folder / f"Birads{1 + number % 2}" / f"PH{number:04}_L_CC.png").write_bytes(picture)
    return load_dataset(listing(folder), folder / ".cache", backbone.size)


def _extracted(
    loaded: LoadedDataset, backbone: Extractor, kind: Head, cache: Path, scheduler: str | None
) -> Features:
    site = Site(cache, cache, precision="f32", scheduler=scheduler)
    return extract(loaded.images, loaded.prepared, backbone, kind, site)


def _equal(one: Features, other: Features) -> bool:
    return np.array_equal(one.array, other.array) and np.array_equal(one.averages, other.averages)


@pytest.mark.parametrize("kind", [DenseHead(), CnnLstmHead()], ids=["dense", "cnn-lstm"])
def test_features_are_those_of_one_process(
    loaded: LoadedDataset, backbone: Extractor, kind: Head, scheduler: str, tmp_path: Path
) -> None:
    here = _extracted(loaded, backbone, kind, tmp_path / "here", None)
    there = _extracted(loaded, backbone, kind, tmp_path / "there", scheduler)
    assert (here.cached, there.cached) == (0, 0) and len(there.array) == IMAGES
    assert _equal(here, there)
    again = _extracted(loaded, backbone, kind, tmp_path / "there", "tcp://127.0.0.1:9")  # nobody is asked
    assert again.cached == IMAGES and _equal(here, again)


def test_a_killed_worker_costs_nothing_but_time(
    loaded: LoadedDataset, backbone: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = _extracted(loaded, backbone, DenseHead(), tmp_path / "here", None)
    monkeypatch.setattr(remote_features, "_BATCHES", 1)
    store, killed = tmp_path / "there" / "features", []
    with local_cluster(2) as cluster:

        def kill() -> None:
            while not list(store.glob("*/rows-*")):
                time.sleep(0.01)
            killed.append(cluster.workers[1].pid)
            os.kill(killed[0], signal.SIGKILL)

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        there = _extracted(loaded, backbone, DenseHead(), tmp_path / "there", cluster.scheduler_address)
        thread.join(30)
    assert killed and there.cached == 0 and _equal(here, there)


def test_a_worker_of_another_version_is_refused(
    loaded: LoadedDataset,
    backbone: Extractor,
    scheduler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_features, "__version__", "0.0.1")
    with pytest.raises(WorkerDiffers, match=r"in place of 0\.0\.1"):
        _extracted(loaded, backbone, DenseHead(), tmp_path, scheduler)
