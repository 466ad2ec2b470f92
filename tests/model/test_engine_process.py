"""The engine in a process of its own: the same answers, also after that process has ended."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from birads_app.compute.pool import ComputePool
from birads_app.compute.process import Limits
from birads_app.compute.turns import Urgency
from birads_app.model.bundles import Bundle
from birads_app.model.engine_process import EngineProcess
from birads_app.model.predictor import ModelSource, Predictor
from birads_app.model.preprocess import standardise
from birads_app.terms.errors import ModelError
from tests.support import compute_calls


@pytest.mark.slow
def test_answers_are_the_same_and_go_on_after_a_crash(tiny_models: Path) -> None:
    pool = ComputePool(1, [compute_calls.__name__], limits=Limits(memory=8 << 30, kept=2 << 30))
    try:
        served = ModelSource(tiny_models, pool=pool).get()
        assert isinstance(served.engine, EngineProcess)
        here = Predictor.load(served.bundle)
        size = served.bundle.size
        images = np.random.default_rng(1).integers(0, 256, (1, *size)).astype(np.uint8)
        expected, found = (one.engine.predict(images) for one in (here, served))
        assert np.array_equal(expected.logits, found.logits)
        assert np.array_equal(expected.averages, found.averages)
        maps = here.engine.maps(standardise(images))
        assert np.array_equal(expected.averages, maps.mean(axis=(1, 2)))
        assert np.array_equal(maps, served.at(Urgency.LATER).engine.maps(standardise(images)))
        os.kill(pool.run(compute_calls.pid_and_parent)[0], signal.SIGKILL)
        assert np.array_equal(here.engine.logits(maps), served.engine.logits(maps))
        shown = images[0], images[0] > 0
        occluded, cells = served.engine.occluded_logits(*shown)
        assert np.array_equal(here.engine.occluded_logits(*shown)[0], occluded) and cells.shape == (7, 7)
    finally:
        pool.close()


@pytest.mark.slow
def test_an_engine_that_takes_too_much_memory_is_an_error_of_the_model(models: Path) -> None:
    pool = ComputePool(1, limits=Limits(memory=100 << 20))
    try:
        with pytest.raises(ModelError):
            ModelSource(models, pool=pool).get()
    finally:
        pool.close()


class RecordingPool(ComputePool):
    """A pool that notes the urgency of its calls."""

    def run(self, *_: object, urgency: Urgency = Urgency.REQUEST) -> Any:
        self.urgencies = [*getattr(self, "urgencies", ()), urgency]


def test_calls_for_uploads_that_are_read_later_come_after_others(tmp_path: Path) -> None:
    pool = RecordingPool(0)
    bundle = cast(Bundle, SimpleNamespace(path=tmp_path))
    engine = EngineProcess(pool, bundle, ("openvino", "bf16", None))
    Predictor(bundle, engine).at(Urgency.LATER).engine.logits(np.zeros(1))
    engine.logits(np.zeros(1))
    assert pool.urgencies == [Urgency.LATER, Urgency.REQUEST]
