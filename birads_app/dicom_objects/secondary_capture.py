"""Predictions as secondary captures, for viewers without SR: image with heat map and marks, and a chart beside it."""

import textwrap

import cv2
import numpy as np
from highdicom.sc import SCImage
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import RLELossless

from birads_app.dicom_objects.context import PRODUCT, Model, Reading, SourceImage, equipment, reference, stamp
from birads_app.model.conformal import LEVEL
from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.marks import Mark
from birads_app.terms.categories import CATEGORIES, DISCLAIMER
from birads_app.terms.probability import percent

SERIES_NUMBER, SERIES_DESCRIPTION = 9002, "BI-RADS reader: heat maps"

_LONGEST = 1344  # pixels of the mammogram's longer side
_PANEL, _HEIGHT, _MARGIN = (
    640,
    1100,
    32,
)  # width, least height and margin of the text column
_BANNER = 56
_OPACITY = 0.5  # as on the pages
_PAPER, _INK, _QUIET, _TRACK, _ALARM = "#000000", "#ffffff", "#b4bcc6", "#333a42", "#ffd23f"
_RING = "#ff8ae2"  # marks of the model, as on the pages
_DASH = 15  # degrees of a dash, and of the gap after it


def secondary_capture(reading: Reading, number: int, pixels: np.ndarray, heat: np.ndarray) -> SCImage:
    """Create the capture for one image; all captures of a reading form one series.

    Parameters
    ----------
    number : of the image in ``reading.images``, from 0
    pixels, heat : as for :func:`draw`
    """
    image = reading.images[number]
    header = reference(reading.study, image)
    dataset = SCImage.from_ref_dataset(
        header,
        pixel_array=draw(image, reading.model, pixels, heat),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("A", "F"),
        series_instance_uid=reading.uid("capture series"),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=reading.uid("capture", image.sop_instance),
        instance_number=number + 1,
        transfer_syntax_uid=RLELossless,
        **equipment(reading.model),
    )
    dataset.copy_patient_and_study_information(header)
    dataset.PatientOrientation = []  # required by highdicom, but meaningless for a page with picture and text
    dataset.Laterality = ""  # the series contains both breasts
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "YES"  # text, but not about the patient
    dataset.DerivationDescription = f"Heat map and probabilities by model {reading.model.name}; {DISCLAIMER}"
    dataset.SourceImageSequence = [_source(image)]
    dataset["PixelData"].is_undefined_length = True  # not set by highdicom, but required for sending
    stamp(dataset, reading.at, reading.study)
    dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = dataset.ContentDate, dataset.ContentTime
    return dataset


def draw(image: SourceImage, model: Model, pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Draw picture, chart and warnings.

    Parameters
    ----------
    pixels : uint8 array of shape (height, width), as shown on the pages
    heat : uint8 RGBA array of the same aspect ratio: the predicted category's map

    Returns
    -------
    uint8 RGB array, at most 2048 pixels per side
    """
    left = Pillow.fromarray(_overlaid(pixels, heat))
    for mark in image.prediction.marks:
        _ring(left, mark)
    height = max(left.height, _HEIGHT)
    page = Pillow.new("RGB", (left.width + _PANEL, height + _BANNER), _PAPER)
    page.paste(left, (0, _BANNER + (height - left.height) // 2))
    pen = ImageDraw.Draw(page)
    # Over the whole width, so that every crop of the page includes it.
    pen.rectangle((0, 0, page.width, _BANNER), fill=_ALARM)
    pen.text((_MARGIN, 12), "NOT A MEDICAL DEVICE - RESEARCH USE ONLY", fill=_PAPER, font=_font(28))
    _panel(pen, image, model, left.width + _MARGIN, _BANNER + _MARGIN)
    return np.asarray(page)


def _overlaid(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Scale the image and lay the heat map over it; uint8 RGB."""
    scale = _LONGEST / max(pixels.shape)
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    grey = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    colours = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    alpha = colours[..., 3:] * (_OPACITY / 255)
    return np.rint(grey[..., None] * (1 - alpha) + colours[..., :3] * alpha).astype(np.uint8)


def _ring(picture: Pillow.Image, mark: Mark) -> None:
    """Draw a mark on the picture as a dashed ellipse with its score."""
    pen, font, text = ImageDraw.Draw(picture), _font(22), f"AI {percent(mark.score)}"
    left, right = ((mark.x + side * mark.width / 2) * picture.width for side in (-1, 1))
    top, bottom = ((mark.y + side * mark.height / 2) * picture.height for side in (-1, 1))
    pen.ellipse((left - 1.5, top - 1.5, right + 1.5, bottom + 1.5), outline=_PAPER, width=7)
    for start in range(0, 360, 2 * _DASH):
        pen.arc((left, top, right, bottom), start, start + _DASH, fill=_RING, width=4)
    place = (min(right + 6, picture.width - pen.textlength(text, font=font) - 4), max(top - 12, 4))
    pen.text(place, text, fill=_RING, font=font, stroke_width=2, stroke_fill=_PAPER)


def _panel(pen: ImageDraw.ImageDraw, image: SourceImage, model: Model, x: int, y: int) -> None:
    """Draw the text column from top to bottom; excess text at the end, the last warnings, is cut off."""
    prediction = image.prediction
    category = CATEGORIES[prediction.category]
    y = _write(pen, x, y, _view_label(image), 30, _QUIET)
    y = _write(pen, x, y, f"BI-RADS {prediction.category}: {category.title}", 36, _INK)
    if prediction.prediction_set:
        prediction_set = f"Possible with {LEVEL:.0%} confidence: {', '.join(prediction.prediction_set)}"
        y = _write(pen, x, y, prediction_set, 24, _INK)
    y = _chart(pen, prediction, x, y + 24)
    legend = "Colours: places that speak for this category"
    rings = ". Rings: places of possible findings, with the model's probability" if prediction.marks else ""
    y = _write(pen, x, y, legend + rings, 20, _QUIET) + 12
    y = _write(pen, x, y, DISCLAIMER, 24, _ALARM)
    kind = "Demonstration model" if model.demonstration else "Model"
    y = _write(pen, x, y, f"{kind} {model.name}, {PRODUCT} {model.software}", 20, _QUIET) + 12
    for text in prediction.warnings:
        y = _write(pen, x, y, f"Warning: {text}", 20, _INK)


def _view_label(image: SourceImage) -> str:
    """Side and view, in English whoever downloads the object."""
    if image.laterality and image.view:
        return f"{image.laterality} {image.view}"
    if image.laterality:
        return f"{image.laterality}, view not stated"
    return f"{image.view}, side not stated" if image.view else "View not stated"


def _chart(pen: ImageDraw.ImageDraw, prediction: ImagePrediction, x: int, y: int) -> int:
    """Draw a bar for each category with its name and probability; return the next free line."""
    width = _PANEL - 2 * _MARGIN
    for code, value in prediction.probabilities.items():
        ink = _INK if code == prediction.category else _QUIET
        pen.text((x, y), f"{code}  {CATEGORIES[code].title}", fill=ink, font=_font(24))
        pen.text((x + width, y), percent(value), fill=ink, font=_font(24), anchor="ra")
        pen.rectangle((x, y + 34, x + width, y + 52), fill=_TRACK)
        pen.rectangle((x, y + 34, x + max(2, round(width * value)), y + 52), fill=CATEGORIES[code].colour)
        y += 76
    return y + 8


def _write(pen: ImageDraw.ImageDraw, x: int, y: int, text: str, size: int, colour: str) -> int:
    """Draw a paragraph; return the next free line."""
    lines = textwrap.wrap(text, width=round((_PANEL - 2 * _MARGIN) / (0.52 * size)))
    for line in lines:
        pen.text((x, y), line, fill=colour, font=_font(size))
        y += round(1.35 * size)
    return y + 8


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Load the font included in Pillow, for the same result on every machine."""
    return ImageFont.load_default(size)


def _source(image: SourceImage) -> Dataset:
    """Build the reference to the source image."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.sop_class, image.sop_instance
    purpose = Dataset()
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator = code.value, code.scheme_designator
    purpose.CodeMeaning = code.meaning
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
