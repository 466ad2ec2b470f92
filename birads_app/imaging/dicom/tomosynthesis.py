"""Maximum intensity projection (MIP) of breast tomosynthesis volumes.

The projection keeps calcifications and dense tissue, but superimposes tissue that the slices separate. It does not
replace the manufacturer's synthetic 2D image, which is read as an ordinary image.
"""

from typing import Literal

import cv2
import numpy as np
from pydicom.dataset import Dataset

from birads_app.imaging.dicom import grayscale, parser
from birads_app.imaging.dicom.parser import TOMOSYNTHESIS, ParsedDicom, items, text
from birads_app.imaging.dicom.pixel_data import frames, layout, number, raw_pixels, surplus_note
from birads_app.imaging.limits import check_volume
from birads_app.terms.errors import UnsupportedFormat
from birads_app.terms.messages import Message, msg

Tomosynthesis = Literal["mip", "refuse"]

# Elements of single images within enhanced objects (PS3.3 C.7.6.16): macro, element, name in a single image.
_MACROS = (
    ("FrameVOILUTSequence", "WindowCenter", "WindowCenter"),
    ("FrameVOILUTSequence", "WindowWidth", "WindowWidth"),
    ("FrameVOILUTSequence", "VOILUTFunction", "VOILUTFunction"),
    ("PixelValueTransformationSequence", "RescaleSlope", "RescaleSlope"),
    ("PixelValueTransformationSequence", "RescaleIntercept", "RescaleIntercept"),
    ("PixelMeasuresSequence", "PixelSpacing", "PixelSpacing"),
    ("FrameAnatomySequence", "FrameLaterality", "ImageLaterality"),
)


def read_pixels(file: ParsedDicom, allowed: Tomosynthesis) -> tuple[np.ndarray, tuple[Message, ...]]:
    """Decode an image's raw pixels, array of shape (rows, columns), with notes. Volumes are projected.

    Elements of an enhanced object that a single image has at its top level are copied there.

    Raises
    ------
    InputError
        As :func:`birads_app.imaging.dicom.parser.require_image`, :func:`maximum_intensity_projection`, and
        :func:`birads_app.imaging.dicom.pixel_data.raw_pixels`.
    """
    parser.require_image(file)
    flatten(file.dataset)
    if frame_count(file.dataset) > 1:
        return maximum_intensity_projection(file, allowed)
    return raw_pixels(file), surplus_note(file)


def flatten(dataset: Dataset) -> None:
    """Copy shared elements of an enhanced object, else those of its first frame, to the level of a single image."""
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in items(dataset, keyword)[:1]:
            for macro, element, name in _MACROS:
                for item in items(group, macro)[:1]:
                    if element in item and not text(dataset, name):
                        setattr(dataset, name, item[element].value)


def frame_count(dataset: Dataset) -> int:
    """Return the number of frames of a tomosynthesis volume; 1 for other objects and synthetic 2D images."""
    if text(dataset, "SOPClassUID") != TOMOSYNTHESIS:
        return 1
    return max(1, number(dataset, "NumberOfFrames", 1))


def maximum_intensity_projection(
    file: ParsedDicom, allowed: Tomosynthesis
) -> tuple[np.ndarray, tuple[Message, ...]]:
    """Return the raw pixel that is shown brightest along the frames, array of shape (rows, columns), and a note.

    Decodes one frame at a time.

    Raises
    ------
    UnsupportedFormat
        Volumes are refused by the setting.
    ImageTooLarge
        The volume has too many frames.
    """
    count = frame_count(file.dataset)
    if allowed == "refuse":
        raise UnsupportedFormat(msg("tomosynthesis-refused", count=count))
    pixel = layout(file.dataset)
    check_volume(pixel.columns, pixel.rows, count)
    decoded = frames(file, count)
    raw = next(decoded)
    order = grayscale.from_dark_to_bright(file.dataset, raw)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    brightest = cv2.LUT(raw, rank)
    for raw in decoded:
        np.maximum(brightest, cv2.LUT(raw, rank), out=brightest)
    return cv2.LUT(brightest, order), (msg("tomosynthesis-projected", count=count),)
