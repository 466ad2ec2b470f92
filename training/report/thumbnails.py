"""Test images with heat maps for the report: correct and incorrect predictions.

Images are cropped to the breast, as the model sees them, so that names or dates printed on a film do not appear.
Patients are not named.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from birads_app.imaging.segmentation import Box, bounds, breast_mask
from birads_app.model import occlusion
from birads_app.model.calibration import softmax
from birads_app.model.preprocess import ModelInput

# Images of each kind at most, their longer side in pixels, and JPEG quality; the report stays well below 2 MB.
_MOST, _SIZE, _QUALITY = 6, 320, 80
_OPACITY = 0.6


@dataclass(frozen=True)
class Thumbnail:
    """One test image.

    probabilities : by category, calibrated
    plain, heat : JPEG files; ``heat`` has the heat map of the predicted category
    """

    true: str
    predicted: str
    probabilities: dict[str, float]
    plain: bytes
    heat: bytes

    @property
    def correct(self) -> bool:
        """True if the predicted category is the true one."""
        return self.true == self.predicted


@dataclass(frozen=True)
class ModelFunctions:
    """Functions of a model whose bundle is not written yet.

    maps : takes float32 (n, height, width, 3) and returns feature maps (n, rows, columns, channels)
    logits : takes feature maps and returns (n, classes), divided by the temperature
    """

    maps: Callable[[np.ndarray], np.ndarray]
    logits: Callable[[np.ndarray], np.ndarray]


def choose(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Choose test images, int: the most confident correct predictions of each category in turn, then the most
    confident errors, at most six of each.

    Parameters
    ----------
    probabilities : (n, classes)
    labels : int array of shape (n,), index of the true category
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right, wrong = order[predicted[order] == labels[order]], order[predicted[order] != labels[order]]
    turn = np.array(
        [(labels[right[:place]] == labels[index]).sum() for place, index in enumerate(right)], int
    )
    return np.concatenate([right[np.argsort(turn, kind="stable")][:_MOST], wrong[:_MOST]])


def draw(
    images: Sequence[ModelInput], labels: Sequence[str], classes: Sequence[str], functions: ModelFunctions
) -> Iterator[Thumbnail]:
    """Draw images with heat maps.

    Parameters
    ----------
    images : as the model sees them
    labels : the true category of each image
    """
    for image, true in zip(images, labels, strict=True):
        maps = functions.maps(image.tensor[None])[0]
        cells = occlusion.breast_cells(image.breast_mask, *occlusion.places(maps.shape))
        logits = occlusion.occluded_logits(maps, functions.logits, cells)
        heat = occlusion.weight_of_evidence(logits, cells)
        probabilities = softmax(logits[:1])[0]
        predicted = int(probabilities.argmax())
        plain = _enlarged(image)
        yield Thumbnail(
            true=true,
            predicted=classes[predicted],
            probabilities=dict(zip(classes, probabilities.tolist(), strict=True)),
            plain=_jpeg(plain, plain.grey),
            heat=_jpeg(plain, _blended(plain, heat[predicted])),
        )


def _enlarged(image: ModelInput) -> ModelInput:
    """Scale an image to the size of a thumbnail."""
    height, width = (round(side * _SIZE / max(image.grey.shape)) for side in image.grey.shape)
    how = cv2.INTER_CUBIC if max(image.grey.shape) < _SIZE else cv2.INTER_AREA
    grey = cv2.resize(image.grey, (width, height), interpolation=how)
    mask = cv2.resize(image.breast_mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return replace(image, grey=np.asarray(grey), breast_mask=mask.astype(bool))


def _blended(seen: ModelInput, heat: np.ndarray) -> np.ndarray:
    """Blend an image with a heat map, uint8 RGB."""
    height, width = seen.grey.shape
    box, shape = Box(0, 0, height, width), (height, width)
    mask = breast_mask(seen.breast_mask, box, False, shape)
    over = occlusion.render_heat_map(heat, box, False, shape, mask).astype(np.float32)
    alpha = over[..., 3:] / 255 * _OPACITY
    return np.rint(seen.grey[..., None] * (1 - alpha) + over[..., :3] * alpha).astype(np.uint8)


def _jpeg(seen: ModelInput, picture: np.ndarray) -> bytes:
    """Crop to the breast and encode, grey or RGB, as a JPEG file."""
    box = bounds(seen.breast_mask)
    part = picture if box is None else picture[box]
    turned = np.ascontiguousarray(part if part.ndim == 2 else part[..., ::-1])
    return cv2.imencode(".jpg", turned, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
