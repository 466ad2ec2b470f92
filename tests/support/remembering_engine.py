"""Cache of an engine's results, because many tests upload the same drawn images."""

import hashlib
from collections.abc import Callable

import numpy as np

from birads_app.model.engine import Engine, Run

_KEPT = 100  # results of each graph; feature maps of an image have 400 kB


def remembering(engine: Engine) -> Engine:
    """Wrap an engine so that it computes each input only once."""
    return Engine(_remembered(engine.maps), _remembered(engine.logits))


def _remembered(run: Callable[[np.ndarray], np.ndarray]) -> Run:
    results: dict[tuple[tuple[int, ...], bytes], np.ndarray] = {}

    def remembered(batch: np.ndarray) -> np.ndarray:
        key = batch.shape, hashlib.sha1(np.ascontiguousarray(batch)).digest()
        if key not in results:
            if len(results) >= _KEPT:
                del results[next(iter(results))]
            results[key] = run(batch)
        return results[key].copy()

    return remembered
