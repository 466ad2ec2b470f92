"""Is an image like those that the model learned from? Its distance to the nearest of them.

Distances are measured between features: the averages of the feature map's channels, brought to length 1, as in
Sun, Ming, Zhu and Li, Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022. Of a training image
the leading principal components are kept, which makes the file small; what an image has beside them counts in
full. What is too far is told by held-out patients, whose images the model has not learned from either.

It notes other body parts and pictures in negative. It does not notice everything that is unusual in a mammogram,
and a familiar image may be judged wrongly all the same.
"""

import io
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from birads_app.terms.messages import msg

# An image is called unlike the others where it is further away than this share of the held-out patients' images;
# than all of them, where these are fewer than a hundred.
LEVEL = 0.99
WARNING = msg("out-of-distribution")
_COMPONENTS = 32
_HALVES = ("mean", "axes", "known")


def average(maps: np.ndarray) -> np.ndarray:
    """Features to compare: feature maps, float (..., rows, columns, channels), to float (..., channels)."""
    return np.asarray(maps.mean(axis=(-3, -2)))


@dataclass(frozen=True)
class OodDetector:
    """Where the images lie that a model learned from, and how far from them others do.

    mean : float32 (channels,), of the features brought to length 1
    axes : float32 (channels, components)
    known : float32 (n, components), images that the model learned from
    tried : float32 (m,), rising; distances of images of held-out patients
    """

    mean: np.ndarray
    axes: np.ndarray
    known: np.ndarray
    tried: np.ndarray

    def distances(self, features: np.ndarray) -> np.ndarray:
        """How far each image is from the nearest known one, float (n,) from 0 to 2.

        Parameters
        ----------
        features : float (n, channels), of :func:`average`
        """
        offset = _unit(features) - self.mean
        products = (offset @ self.axes) @ self.known.T
        squares = (offset**2).sum(axis=1) + (self._lengths - 2 * products).min(axis=1)
        return np.asarray(np.sqrt(np.maximum(squares, 0)))

    def exceeded(self, features: np.ndarray) -> np.ndarray:
        """The share of tried images that are nearer than each image, float (n,) from 0 to 1."""
        return np.asarray(np.searchsorted(self.tried, self.distances(features)) / len(self.tried))

    def is_ood(self, features: np.ndarray) -> np.ndarray:
        """Which images are unlike the known ones, bool (n,)."""
        return np.asarray(self.exceeded(features) >= LEVEL)

    @cached_property
    def _lengths(self) -> np.ndarray:
        """Squared lengths of the known images, (n,); rounded axes are not quite orthogonal."""
        return np.asarray(((self.known @ (self.axes.T @ self.axes)) * self.known).sum(axis=1))

    def to_bytes(self) -> bytes:
        """As the file that :func:`read` takes: arrays, float16 but for the distances."""
        stream = io.BytesIO()
        halves = {name: getattr(self, name).astype(np.float16) for name in _HALVES}
        np.savez(stream, allow_pickle=False, tried=self.tried, **halves)
        return stream.getvalue()


def read(data: bytes) -> OodDetector:
    """Read what :meth:`OodDetector.to_bytes` wrote; raises ValueError where it is something else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            found = {name: np.asarray(file[name], np.float32) for name in (*_HALVES, "tried")}
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError("there are no arrays of a familiarity in it") from error
    shapes = [found[name].shape for name in _HALVES]
    channels, components = shapes[1] if len(shapes[1]) == 2 else (0, 0)
    fits = shapes[0] == (channels,) and shapes[2][1:] == (components,) and len(found["known"])
    if not (channels and fits and found["tried"].ndim == 1 and len(found["tried"])):
        raise ValueError("its arrays do not fit together")
    return OodDetector(**found)


def fit(training: np.ndarray, held_out: np.ndarray) -> OodDetector:
    """Know the images that a model learned from, and try those of patients that it did not learn from.

    Parameters
    ----------
    training : float (n, channels), of :func:`average`, n at least 2; the file takes 64 bytes of each
    held_out : float (m, channels), m at least 1
    """
    features = _unit(training)
    mean = _halved(features.mean(axis=0))
    _, _, rows = np.linalg.svd(features - mean, full_matrices=False)
    axes = _halved(rows[:_COMPONENTS].T)
    known = _halved((features - mean) @ axes)
    untried = OodDetector(mean, axes, known, tried=np.empty(0, np.float32))
    return replace(untried, tried=np.sort(untried.distances(held_out)))


def _unit(features: np.ndarray) -> np.ndarray:
    """Features brought to length 1, float32."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), np.float32)


def _halved(values: np.ndarray) -> np.ndarray:
    """Rounded as the file keeps them, float32."""
    return np.asarray(values, np.float16).astype(np.float32)
