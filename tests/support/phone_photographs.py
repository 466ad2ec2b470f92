"""Photographs of a film on a light box or of a screen in a dark room, as a phone takes them, made of a grey image."""

from dataclasses import dataclass

import cv2
import numpy as np

_SIZE = 900  # longer side of a photograph


@dataclass(frozen=True)
class Photograph:
    """A grey photograph, uint8 array of shape (height, width), and what was put into it."""

    pixels: np.ndarray
    moire: bool
    glare: bool


def photographed(picture: np.ndarray, seed: int) -> Photograph:
    """Photograph a uint8 picture: on a screen for even seeds, else a film on a light box; grey, with perspective."""
    random = np.random.default_rng(seed)
    screen = seed % 2 == 0
    scene, corners = _scene(picture, random, screen)
    shot = cv2.warpPerspective(scene, _perspective(scene.shape, corners, random), scene.shape[::-1])
    glare = bool(random.random() < 0.5)
    shot = _lit(shot, random, glare)
    moire = screen and bool(random.random() < 0.6)
    if moire:
        shot = shot * (1 + _beat(shot.shape, random))
    shot = cv2.GaussianBlur(shot, (0, 0), 0.7) + random.normal(0, 0.008, shot.shape)
    encoded = cv2.imencode(
        ".jpg", (np.clip(shot, 0, 1) * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88]
    )[1]
    return Photograph(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), moire, glare)


def _scene(picture: np.ndarray, random: np.random.Generator, screen: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a dark room, float32 0..1, with the lit picture in it, and the picture's corners (x, y)."""
    height, width = (round(side * _SIZE / max(picture.shape)) for side in picture.shape)
    margin = random.uniform(0.04, 0.14, 4) * _SIZE  # top, bottom, left, right
    top, bottom, left, right = (int(side) for side in margin)
    scene = np.full((top + height + bottom, left + width + right), 0.01 + 0.02 * random.random(), np.float32)
    shown = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    black = random.uniform(0.05, 0.12)  # neither a screen nor a film on a light box is black
    lit = (black + (1 - black) * shown) * random.uniform(0.75, 0.98)
    if not screen:  # light passes beside the film
        rim = int(random.uniform(0.005, 0.02) * _SIZE)
        scene[top - rim : top + height + rim, left - rim : left + width + rim] = random.uniform(0.5, 0.9)
    scene[top : top + height, left : left + width] = lit
    corners = np.array(
        [(left, top), (left + width, top), (left + width, top + height), (left, top + height)], np.float32
    )
    return scene, corners


def _perspective(shape: tuple[int, ...], corners: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the view of a hand-held phone: each corner moves by up to 3.5 % of the picture."""
    moved = corners + random.uniform(-0.035, 0.035, (4, 2)).astype(np.float32) * max(shape)
    inside = np.clip(moved, 4, (shape[1] - 5, shape[0] - 5)).astype(np.float32)
    return cv2.getPerspectiveTransform(corners, inside)


def _lit(shot: np.ndarray, random: np.random.Generator, glare: bool) -> np.ndarray:
    """Darken the corners as a lens does, and add the reflection of a lamp."""
    height, width = shot.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    far = np.hypot((x - width / 2) / width, (y - height / 2) / height)
    shot = shot * (1 - random.uniform(0.1, 0.4) * far**2)
    if glare:
        centre = random.uniform(0.15, 0.85, 2) * (width, height)
        size = random.uniform(0.03, 0.09) * _SIZE
        shot = shot + random.uniform(0.35, 0.8) * np.exp(
            -((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * size**2)
        )
    return shot


def _beat(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Return the beat between the pixels of a screen and of a camera: oblique waves in both directions."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    angle, pitch = np.radians(random.uniform(6, 38)), random.uniform(0.09, 0.3)
    waves = sum(
        np.cos(2 * np.pi * pitch * (x * np.cos(turn) + y * np.sin(turn)))
        for turn in (angle, angle + np.pi / 2)
    )
    return np.asarray(random.uniform(0.02, 0.05) * waves, np.float32)
