"""Test images that a model read rightly and wrongly, as the report shows them: cut to the breast, with a heat map.

What is shown is what the model saw: the breast without what stands beside it, so that no name or date printed
on a film comes along. Patients are not named.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from birads_app.imaging.decode import decode
from birads_app.imaging.segmentation import Box, breast_mask
from birads_app.model import occlusion, preprocess
from birads_app.model.calibration import softmax
from birads_app.model.preprocess import ModelInput
from training.data.dataset import Example

# As many of each kind, at so many pixels; a report of them stays well below 2 MB.
_MOST, _SIZE, _QUALITY = 6, 320, 80
_OPACITY = 0.6


@dataclass(frozen=True)
class Thumbnail:
    """One test image.

    probabilities : by category, calibrated
    plain, heat : JPEG files; ``heat`` shows what spoke for the named category
    """

    true: str
    named: str
    probabilities: dict[str, float]
    plain: bytes
    heat: bytes

    @property
    def right(self) -> bool:
        """Whether the named category is the true one."""
        return self.true == self.named


@dataclass(frozen=True)
class ModelFunctions:
    """A model that is not written yet.

    maps : float32 (n, size, size, 3) -> feature maps (n, rows, columns, channels)
    logits : feature maps -> (n, classes), divided by the temperature
    """

    size: int
    maps: Callable[[np.ndarray], np.ndarray]
    logits: Callable[[np.ndarray], np.ndarray]


def choose(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which test images to show, int: of those named rightly the surest of each category in turn, then the surest
    errors, at most six of each.

    Parameters
    ----------
    probabilities : (n, classes)
    labels : int array of shape (n,), index of the true category
    """
    named, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    right, wrong = order[named[order] == labels[order]], order[named[order] != labels[order]]
    turn = np.array(
        [(labels[right[:place]] == labels[index]).sum() for place, index in enumerate(right)], int
    )
    return np.concatenate([right[np.argsort(turn, kind="stable")][:_MOST], wrong[:_MOST]])


def draw(
    examples: Sequence[Example], labels: Sequence[str], classes: Sequence[str], reader: ModelFunctions
) -> Iterator[Thumbnail]:
    """Read images again and draw them.

    Parameters
    ----------
    labels : the true category of each example

    Raises
    ------
    InputError, OSError
        A file cannot be read any more.
    """
    for example, true in zip(examples, labels, strict=True):
        mammogram = decode(example.path.read_bytes(), example.path.name)
        seen = preprocess.prepare(mammogram, reader.size)
        maps = reader.maps(seen.tensor[None])[0]
        logits = occlusion.occluded_logits(maps, reader.logits)
        heat = occlusion.weight_of_evidence(logits, occlusion.breast_cells(seen.inside, *maps.shape[:2]))
        probabilities = softmax(logits[:1])[0]
        named = int(probabilities.argmax())
        plain = preprocess.prepare(mammogram, _SIZE)
        yield Thumbnail(
            true=true,
            named=classes[named],
            probabilities=dict(zip(classes, probabilities.tolist(), strict=True)),
            plain=_jpeg(plain, plain.grey),
            heat=_jpeg(plain, _blended(plain, heat[named])),
        )


def _blended(seen: ModelInput, heat: np.ndarray) -> np.ndarray:
    """The picture with a map over it, uint8 RGB."""
    square, shape = Box(0, 0, _SIZE, _SIZE), (_SIZE, _SIZE)
    mask = breast_mask(seen.inside, square, False, shape)
    over = occlusion.render_heat_map(heat, square, False, shape, mask).astype(np.float32)
    alpha = over[..., 3:] / 255 * _OPACITY
    return np.rint(seen.grey[..., None] * (1 - alpha) + over[..., :3] * alpha).astype(np.uint8)


def _jpeg(seen: ModelInput, picture: np.ndarray) -> bytes:
    """The part with the breast, grey or RGB, as a JPEG file."""
    rows, columns = np.flatnonzero(seen.inside.any(axis=1)), np.flatnonzero(seen.inside.any(axis=0))
    part = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows.size else picture
    turned = np.ascontiguousarray(part if part.ndim == 2 else part[..., ::-1])
    return cv2.imencode(".jpg", turned, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
