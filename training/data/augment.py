"""Copies of an image that a network takes for others, with the outlines of its findings."""

from dataclasses import dataclass

import cv2
import numpy as np

from birads_app.model.preprocess import standardise

# A place of the feature map shows a finding where an outline covers at least this share of it.
_COVERED = 0.15


@dataclass(frozen=True)
class Augmentation:
    """How one copy of an image differs from it: moved, turned, zoomed, mirrored top to bottom, re-exposed.

    matrix : float (2, 3), of the affine map in pixels
    levels : uint8 (256,), the grey level that takes the place of each
    """

    matrix: np.ndarray
    mirrored: bool
    levels: np.ndarray

    @classmethod
    def random(cls, size: int, rng: np.random.Generator) -> "Augmentation":
        """A change of a square with sides of ``size`` pixels, by chance."""
        turned = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-12, 12), rng.uniform(0.88, 1.1))
        matrix = np.asarray(turned, float)
        matrix[:, 2] += rng.uniform(-0.05, 0.05, 2) * size
        mirrored = bool(rng.random() < 0.5)
        levels = 255 * (np.arange(256) / 255) ** rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.05)
        return cls(matrix, mirrored, np.clip(levels, 0, 255).astype(np.uint8))

    def outline(self, square: np.ndarray) -> np.ndarray:
        """Move a square, uint8 (size, size), without touching its levels."""
        square = np.ascontiguousarray(square[::-1] if self.mirrored else square)
        return np.asarray(cv2.warpAffine(square, self.matrix, square.shape[::-1], flags=cv2.INTER_LINEAR))

    def picture(self, square: np.ndarray) -> np.ndarray:
        """Move a grey square, uint8 (size, size), and expose it anew."""
        return np.asarray(cv2.LUT(self.outline(square), self.levels))


def covered_cells(outline: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """The places of a feature map that an outline, uint8 (size, size), covers; bool (rows * columns,)."""
    shares = cv2.resize(outline, cells[::-1], interpolation=cv2.INTER_AREA)
    return (shares >= _COVERED * 255).ravel()


def augment(squares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Squares uint8 (n, size, size) -> inputs float32 (n, size, size, 3), each changed at random."""
    return standardise(
        np.stack([Augmentation.random(square.shape[0], rng).picture(square) for square in squares])
    )
