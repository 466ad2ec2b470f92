"""An engine in a process of its own, so that the process that answers requests computes nothing."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.compute.pool import ComputePool
from birads_app.compute.turns import Urgency
from birads_app.model import bundles
from birads_app.model.bundles import Bundle
from birads_app.model.engine import Engine, Output, open_engine
from birads_app.terms.errors import ModelError, ReadingEnded
from birads_app.terms.messages import msg


class EngineProcess(Engine):
    """Engine of a verified bundle, opened by a pool's process at its first call.

    Parameters
    ----------
    pool : of one process, which a bundle's engine may use whole
    options : engine, precision and threads, as in :func:`birads_app.model.engine.open_engine`
    urgency : of the calls
    """

    def __init__(
        self,
        pool: ComputePool,
        bundle: Bundle,
        options: tuple[str, str, int | None],
        urgency: Urgency = Urgency.REQUEST,
    ) -> None:
        self._pool = pool
        self._bundle, self._options = bundle, options
        self._urgency = urgency

    def at(self, urgency: Urgency) -> "EngineProcess":
        """As in :class:`Engine`; calls of a higher urgency come first."""
        return EngineProcess(self._pool, self._bundle, self._options, urgency)

    def maps(self, batch: np.ndarray) -> np.ndarray:
        """As in :class:`Engine`; raises ModelError if the process ended, as the next methods."""
        found: np.ndarray = self._call("maps", batch)
        return found

    def logits(self, maps: np.ndarray) -> np.ndarray:
        """As in :class:`Engine`."""
        found: np.ndarray = self._call("logits", maps)
        return found

    def predict(self, images: np.ndarray) -> Output:
        """As in :class:`Engine`."""
        found: Output = self._call("predict", images)
        return found

    def occluded_logits(self, image: np.ndarray, breast_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As in :class:`Engine`."""
        found: tuple[np.ndarray, np.ndarray] = self._call("occluded_logits", image, breast_mask)
        return found

    def _call(self, method: str, *arrays: np.ndarray) -> Any:
        try:
            return self._pool.run(
                call_engine, self._bundle.path, self._options, method, *arrays, urgency=self._urgency
            )
        except ReadingEnded:
            raise ModelError(msg("engine-ended")) from None


def call_engine(path: Path, options: tuple[str, str, int | None], method: str, *arrays: np.ndarray) -> Any:
    """Call a method of a bundle's engine in this process; raises BundleError as :func:`open_engine`."""
    return getattr(_engine(path, options), method)(*arrays)


@lru_cache(maxsize=1)
def _engine(path: Path, options: tuple[str, str, int | None]) -> Engine:
    return open_engine(bundles.load(path), *options)
