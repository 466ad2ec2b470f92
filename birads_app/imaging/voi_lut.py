"""Windows and VOI LUTs as curves from measured values to display grey (PS3.3 C.11.2)."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

_NONE = np.empty(0)


@dataclass(frozen=True)
class Curve:
    """Black up to ``low``, white from ``high`` and between them by a shape; black at both ends if they are one.

    low, high : values, low <= high
    shape : "linear"; "sigmoid", which reaches beyond both ends; or "table"
    table : float array (n,), 0..1, at even distances from low to high; empty unless that is the shape
    source : a "window" or "table" of the file, the whole "range", the logarithm of "raw" values, or a "picture"
    name : as the file explains it, or empty
    window : (centre, width) as the file states them; None if this is no window of the file
    """

    low: float
    high: float
    shape: Literal["linear", "sigmoid", "table"] = "linear"
    table: np.ndarray = field(default_factory=_NONE.copy)
    source: Literal["window", "table", "range", "raw", "picture"] = "window"
    name: str = ""
    window: tuple[float, float] | None = None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Display grey of values: float array of their shape, 0 black .. 1 white."""
        width = self.high - self.low
        if width <= 0:
            return (values > self.high).astype(float)
        place = (values - self.low) / width
        if self.shape == "sigmoid":
            return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (place - 0.5), -700, 700)))
        if self.shape == "linear":
            return np.clip(place, 0.0, 1.0)
        last = self.table.size - 1
        return self.table[np.clip(np.rint(place * last), 0, last).astype(np.int64)]

    def turned(self) -> "Curve":
        """The curve that shows the negative of each value in the opposite grey."""
        return replace(self, low=-self.high, high=-self.low, table=1.0 - self.table[::-1])

    def moved(self, factor: float, offset: float) -> "Curve":
        """The curve that shows ``factor * value + offset`` as this one shows the value; factor > 0."""
        return replace(self, low=factor * self.low + offset, high=factor * self.high + offset)
