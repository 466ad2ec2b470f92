"""Shapes of findings: ovals, angular borders, spots and polygons, with soft edges."""

import cv2
import numpy as np


class Patch:
    """Square around a finding, with polar coordinates, for drawing soft-edged shapes.

    radius : radius of the finding in pixels
    half : half the side of the patch in pixels
    angle : direction of the nipple in radians, rows down
    """

    def __init__(self, radius: float, half: int, angle: float, rng: np.random.Generator):
        self.radius, self.half, self.angle, self.rng = radius, half, angle, rng
        axis = np.arange(-half, half + 1, dtype=np.float32)
        self.rho = np.hypot(axis[:, None], axis)
        self.theta = np.arctan2(axis[:, None], axis)
        self.edge = 1.2 + 0.04 * radius

    def filled(self, border: np.ndarray) -> np.ndarray:
        """Return the opacity, 0..1, of a flat dome with a soft edge, given its border's radius at every theta."""
        dome = 1 - 0.25 * np.minimum(self.rho / border, 1) ** 2
        return dome * np.clip((border - self.rho) / self.edge + 0.5, 0, 1)

    def oval(self, scale: float = 1.0) -> np.ndarray:
        """Return the border of an oval with the finding's area and its long axis roughly along the ducts."""
        flat = self.rng.uniform(0.68, 0.86)
        turn = self.theta - self.angle - self.rng.uniform(-0.6, 0.6)
        border = 1 / np.hypot(np.cos(turn) * np.sqrt(flat), np.sin(turn) / np.sqrt(flat))
        return self.radius * scale * border

    def angular(self, border: np.ndarray, spread: float) -> np.ndarray:
        """Turn a border into a polygon of 11 to 15 corners, each moved in or out by up to ``spread`` of the radius."""
        count = int(self.rng.integers(11, 16))
        turns = (np.arange(count) + self.rng.uniform(-0.3, 0.3, count)) * 2 * np.pi / count
        factors = self.rng.permutation(np.linspace(1 - spread, 1 + spread, count))
        return border * np.interp(self.theta.ravel(), turns, factors, period=2 * np.pi).reshape(
            self.theta.shape
        )

    def spots(self, points: np.ndarray, radii: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Draw round spots at points (n, 2), x and y from the centre in pixels; the brighter wins on overlap."""
        layer = np.zeros(self.rho.shape, np.float32)
        for (x, y), radius, level in zip(points, radii, levels, strict=True):
            reach = int(np.ceil(radius + 2))
            column, row = round(x) + self.half, round(y) + self.half
            window = layer[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
            rows = np.arange(window.shape[0])[:, None] + max(row - reach, 0) - self.half - y
            columns = np.arange(window.shape[1]) + max(column - reach, 0) - self.half - x
            np.maximum(window, level * np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1), out=window)
        return layer

    def polygon(self, layer: np.ndarray, points: np.ndarray, level: float) -> None:
        """Fill a polygon, points (n, 2) as x and y from the centre, into a uint8 layer, antialiased."""
        fixed = np.round((points + self.half) * 16).astype(np.int32)
        cv2.fillPoly(layer, [fixed], round(255 * level), cv2.LINE_AA, 4)

    def within(self, count: int, reach: float) -> np.ndarray:
        """Draw points (count, 2), in pixels, uniformly from an oval along the ducts of ``reach`` radii."""
        turn = self.rng.uniform(0, 2 * np.pi, count)
        distance = reach * self.radius * np.sqrt(self.rng.uniform(0, 1, count))
        along, across = distance * np.cos(turn) * 1.15, distance * np.sin(turn) * 0.85
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.stack([along * cos - across * sin, along * sin + across * cos], axis=1)
