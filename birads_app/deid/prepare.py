"""Preparation of an uploaded file for storage: decoding, de-identification and blanking, in one pass.

A file is parsed once and its pixels are decoded once. Everything is derived from the header as it came; the prediction
is made from the pixels that are stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from pydicom.dataset import Dataset

from birads_app.deid import burned_in
from birads_app.deid.burned_in import Marks
from birads_app.deid.deidentify import deidentify, with_frames_of
from birads_app.deid.identity import read_identity, read_instance
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging import raster
from birads_app.imaging.decode import (
    Mammogram,
    damage_named,
    dicom_mammogram,
    picture_mammogram,
    show,
)
from birads_app.imaging.dicom import grayscale, parser, part10, pixel_data
from birads_app.imaging.dicom.parser import ParsedDicom
from birads_app.imaging.dicom.part10 import Chunks
from birads_app.imaging.dicom.stored_values import without_unused_bits
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis, frame_count, read_pixels
from birads_app.imaging.dicom.view import view_of
from birads_app.imaging.source_file import SourceFile
from birads_app.records.identities import Identity, Instance
from birads_app.terms.errors import UnreadableImage
from birads_app.terms.messages import msg

_DETECTOR_IMAGES = ("1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2.1")


@dataclass(frozen=True)
class PreparedFile:
    """A file as it will be stored.

    chunks : the bytes to store
    mammogram : the decoded image
    header : the stored DICOM header; None for pictures, as are the next two
    identity, instance : from the uploaded header
    blanked : True if marks beside the breast were blanked
    uncompressed : True if ``chunks`` are a DICOM file whose pixels were changed, and are not compressed yet
    """

    chunks: Chunks = field(repr=False)
    mammogram: Mammogram
    header: Dataset | None = None
    identity: Identity | None = None
    instance: Instance | None = None
    uncompressed: bool = False
    blanked: bool = False

    @property
    def data(self) -> bytes:
        """The bytes to store, as one."""
        return b"".join(self.chunks)


def prepare(file: SourceFile, pseudonyms: Pseudonyms | None, allowed: Tomosynthesis = "mip") -> PreparedFile:
    """Read a file and prepare it for storage.

    Parameters
    ----------
    pseudonyms : of the site; None to store the file as received

    Raises
    ------
    InputError
        As :func:`birads_app.imaging.decode.decode`.
    """
    with damage_named():
        if file.format == "DICOM":
            return _dicom(file, pseudonyms, allowed)
        picture = raster.read(file.data, file.format)
        mammogram = picture_mammogram(picture, file.format, file.name)
        return PreparedFile((file.data,), mammogram) if pseudonyms is None else _grey_png(mammogram)


def _dicom(sent: SourceFile, pseudonyms: Pseudonyms | None, allowed: Tomosynthesis) -> PreparedFile:
    file = sent.dicom
    parser.require_image(file)
    clean = None if pseudonyms is None else deidentify(file, pseudonyms)
    raw, notes = read_pixels(file, allowed)
    table, of_presentation = grayscale.presentation_table(file.dataset, raw)
    shown = show(file, raw, table)
    if clean is None:
        header = file.dataset
        stated = view_of(header)
        mammogram = dicom_mammogram(file, stated, shown, notes + of_presentation, sent.name)
        return PreparedFile((sent.data,), mammogram, header, read_identity(header), read_instance(header))
    marks = burned_in.find(shown) if _may_have_marks(file.dataset) else None
    volume = frame_count(file.dataset) > 1
    changed = None if volume else _without_identity(file.dataset, raw, marks)
    chunks: Chunks
    if changed is not None:
        chunks = part10.encode_pixels(clean.header, file.pixels.syntax, changed)
    elif marks is not None:
        chunks = _blanked_volume(file, clean.header, marks)
        changed, _ = read_pixels(parser.parse(b"".join(chunks)), allowed)
    else:
        chunks = with_frames_of(file, clean.header)
    if changed is not None:
        again, of_presentation = grayscale.presentation_table(file.dataset, changed)
        if marks and changed is raw and shown.shape == raw.shape and np.array_equal(again, table):
            for places in burned_in.places_of(marks, raw.shape):
                np.put(shown, places, table[raw.take(places)])
        else:
            del shown  # as large as the next one
            shown = show(file, changed, again)
    mammogram = dicom_mammogram(file, clean.view, shown, notes + of_presentation, sent.name)
    uncompressed = changed is not None and not volume
    return PreparedFile(
        chunks, mammogram, clean.header, clean.identity, clean.instance, uncompressed, marks is not None
    )


def _without_identity(header: Dataset, raw: np.ndarray, marks: Marks | None) -> np.ndarray | None:
    """Return raw pixels with marks blanked and unused bits cleared; None if there is nothing to change.

    Pixels that can be written are changed in place.
    """
    cleared = without_unused_bits(header, raw)
    if marks is None:
        return cleared
    pixels = raw if cleared is None else cleared
    pixels = pixels if pixels.flags.writeable else pixels.copy()
    burned_in.blank(pixels, marks)
    return pixels


def _blanked_volume(file: ParsedDicom, header: Dataset, marks: Marks) -> Chunks:
    """Blank the marks in every frame; return the file with its frames compressed."""

    def blanked() -> Iterator[np.ndarray]:
        for frame in pixel_data.frames(file, frame_count(file.dataset)):
            pixels = frame.copy()
            burned_in.blank(pixels, marks)
            yield pixels

    return part10.encode_rle(header, blanked())


def _may_have_marks(header: Dataset) -> bool:
    """Return False for detector images that state that nothing is burned in."""
    by_detector = parser.text(header, "SOPClassUID") in _DETECTOR_IMAGES
    return not (by_detector and parser.text(header, "BurnedInAnnotation").upper() == "NO")


def _grey_png(mammogram: Mammogram) -> PreparedFile:
    """Encode only the grey values of a picture, as a PNG with 8 or 16 bits, without any metadata."""
    marks = burned_in.find(mammogram.pixels)
    pixels = mammogram.pixels
    if marks is not None:
        pixels = pixels.copy()
        burned_in.blank(pixels, marks)
    done, data = cv2.imencode(".png", (pixels >> 8).astype("u1") if mammogram.bits <= 8 else pixels)
    if not done:
        raise UnreadableImage(msg("image-not-storable"))
    stored = replace(mammogram, pixels=pixels, source="PNG")
    return PreparedFile((data.tobytes(),), stored, blanked=marks is not None)
