"""Random augmentation of images and of the outlines of their findings."""

from dataclasses import dataclass

import cv2
import numpy as np

from birads_app.model.preprocess import standardise

# Share of a feature map's cell that an outline has to cover for the cell to contain a finding.
_LEAST_COVERAGE = 0.15


@dataclass(frozen=True)
class Augmentation:
    """A random transformation: shift, rotation, zoom, vertical flip, exposure.

    matrix : float (2, 3), affine transform in pixels
    levels : uint8 (256,), look-up table of grey levels
    """

    matrix: np.ndarray
    mirrored: bool
    levels: np.ndarray

    @classmethod
    def random(
        cls, shape: tuple[int, ...], rng: np.random.Generator, strength: float = 1.0
    ) -> "Augmentation":
        """Draw a transformation for images of a shape, (height, width).

        Parameters
        ----------
        strength : factor of angles and shifts, exponent of the factors of zoom and exposure; 0 changes nothing
        """
        height, width = shape
        rotation = cv2.getRotationMatrix2D(
            (width / 2, height / 2), strength * rng.uniform(-12, 12), rng.uniform(0.88, 1.1) ** strength
        )
        matrix = np.asarray(rotation, float)
        matrix[:, 2] += strength * rng.uniform(-0.05, 0.05, 2) * (width, height)
        mirrored = bool(rng.random() < 0.5) and strength > 0
        gamma, exposure = rng.uniform(0.75, 1.3) ** strength, rng.uniform(0.9, 1.05) ** strength
        levels = 255 * (np.arange(256) / 255) ** gamma * exposure
        return cls(matrix, mirrored, np.clip(levels, 0, 255).astype(np.uint8))

    def warp(self, image: np.ndarray) -> np.ndarray:
        """Transform the geometry of an image, uint8 (height, width)."""
        image = np.ascontiguousarray(image[::-1] if self.mirrored else image)
        return np.asarray(cv2.warpAffine(image, self.matrix, image.shape[::-1], flags=cv2.INTER_LINEAR))

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Transform the geometry and the grey levels of an image, uint8 (height, width)."""
        return np.asarray(cv2.LUT(self.warp(image), self.levels))


def finding_cells(outline: np.ndarray, map_shape: tuple[int, int]) -> np.ndarray:
    """Return the cells of a map with a finding, bool (rows * columns,), for an outline, uint8 (height, width).

    A finding that is smaller than that lies in the cell that it covers most.
    """
    shares = cv2.resize(outline.astype(np.float32), map_shape[::-1], interpolation=cv2.INTER_AREA).ravel()
    return np.asarray((shares >= min(_LEAST_COVERAGE * 255, shares.max())) & (shares > 0))


def augment(images: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Augment images, uint8 (n, height, width), to network inputs, float32 (n, height, width, 3)."""
    augmented = [Augmentation.random(image.shape, rng, strength).apply(image) for image in images]
    return standardise(np.stack(augmented))
