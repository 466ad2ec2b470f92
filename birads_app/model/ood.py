"""Out-of-distribution (OOD) detection by the distance to the nearest training image.

Distances are measured between features: the averages of the feature map's channels, normalised to length 1, as in
Sun, Ming, Zhu and Li, Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022. Only the leading principal
components of training images are stored, to keep the file small; the residual of a new image counts in full. The
threshold comes from images of held-out patients.

It detects other body parts and inverted images. It does not detect everything unusual in a mammogram, and an
image within the distribution may still be misclassified.
"""

import io
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from birads_app.terms.messages import msg

# An image is OOD if it is further away than this share of the held-out patients' images; than all of them, if there
# are fewer than a hundred.
LEVEL = 0.99
WARNING = msg("out-of-distribution")
_COMPONENTS = 32
# Attributes stored in float16, by the names of their arrays in the file.
_HALVES = {"mean": "mean", "axes": "axes", "known": "training_points"}


def average(maps: np.ndarray) -> np.ndarray:
    """Average feature maps, float (..., rows, columns, channels), to features, float (..., channels)."""
    return np.asarray(maps.mean(axis=(-3, -2)))


@dataclass(frozen=True)
class OodDetector:
    """Detector of out-of-distribution images.

    mean : float32 (channels,), mean of the normalised features
    axes : float32 (channels, components)
    training_points : float32 (n, components), features of training images along the axes
    tried : float32 (m,), rising; distances of images of held-out patients
    """

    mean: np.ndarray
    axes: np.ndarray
    training_points: np.ndarray
    tried: np.ndarray

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return the distance of each image to the nearest training image, float (n,) from 0 to 2.

        Parameters
        ----------
        features : float (n, channels), of :func:`average`
        """
        offset = _unit(features) - self.mean
        products = (offset @ self.axes) @ self.training_points.T
        squares = (offset**2).sum(axis=1) + (self._lengths - 2 * products).min(axis=1)
        return np.asarray(np.sqrt(np.maximum(squares, 0)))

    def exceeded(self, features: np.ndarray) -> np.ndarray:
        """Return the share of held-out images that are nearer than each image, float (n,) from 0 to 1."""
        return np.asarray(np.searchsorted(self.tried, self.distances(features)) / len(self.tried))

    def is_ood(self, features: np.ndarray) -> np.ndarray:
        """Return True for each out-of-distribution image, bool (n,)."""
        return np.asarray(self.exceeded(features) >= LEVEL)

    @cached_property
    def _lengths(self) -> np.ndarray:
        """Squared lengths of the training images, (n,); rounded axes are not exactly orthogonal."""
        return np.asarray(
            ((self.training_points @ (self.axes.T @ self.axes)) * self.training_points).sum(axis=1)
        )

    def to_bytes(self) -> bytes:
        """Return the content of a file for :func:`read`: arrays in float16, distances in full precision."""
        stream = io.BytesIO()
        halves = {name: getattr(self, attribute).astype(np.float16) for name, attribute in _HALVES.items()}
        np.savez(stream, allow_pickle=False, tried=self.tried, **halves)
        return stream.getvalue()


def read(data: bytes) -> OodDetector:
    """Read what :meth:`OodDetector.to_bytes` wrote; raises ValueError for anything else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            found = {name: np.asarray(file[name], np.float32) for name in (*_HALVES, "tried")}
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError("it holds no arrays of an OOD detector") from error
    shapes = [found[name].shape for name in _HALVES]
    channels, components = shapes[1] if len(shapes[1]) == 2 else (0, 0)
    fits = shapes[0] == (channels,) and shapes[2][1:] == (components,) and len(found["known"])
    if not (channels and fits and found["tried"].ndim == 1 and len(found["tried"])):
        raise ValueError("its arrays do not fit together")
    return OodDetector(found["mean"], found["axes"], training_points=found["known"], tried=found["tried"])


def fit(training: np.ndarray, held_out: np.ndarray) -> OodDetector:
    """Fit a detector to training images, with its threshold from held-out patients.

    Parameters
    ----------
    training : float (n, channels), of :func:`average`, n at least 2; the file takes 64 bytes of each
    held_out : float (m, channels), m at least 1
    """
    features = _unit(training)
    mean = _to_float16(features.mean(axis=0))
    _, _, rows = np.linalg.svd(features - mean, full_matrices=False)
    axes = _to_float16(rows[:_COMPONENTS].T)
    points = _to_float16((features - mean) @ axes)
    untried = OodDetector(mean, axes, points, tried=np.empty(0, np.float32))
    return replace(untried, tried=np.sort(untried.distances(held_out)))


def _unit(features: np.ndarray) -> np.ndarray:
    """Normalise features to length 1, float32."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), np.float32)


def _to_float16(values: np.ndarray) -> np.ndarray:
    """Round to float16 as in the file; returns float32."""
    return np.asarray(values, np.float16).astype(np.float32)
