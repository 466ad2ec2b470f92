"""Preparation of an uploaded file for storage: de-identification, blanking and decoding.

Predictions are made from what is stored, so that a stored exam can always be read again.
"""

from dataclasses import dataclass, replace

import cv2
from pydicom.dataset import Dataset

from birads_app.deid import burned_in
from birads_app.deid.burned_in import Marks
from birads_app.deid.deidentify import deidentify, with_pixels
from birads_app.deid.identity import read_identity, read_instance
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging.decode import Mammogram, decode
from birads_app.imaging.dicom import parser, pixel_data
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis
from birads_app.records.identities import Identity, Instance
from birads_app.terms.errors import UnreadableImage
from birads_app.terms.messages import msg

_DETECTOR_IMAGES = ("1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2.1")


@dataclass(frozen=True)
class PreparedFile:
    """A file as it will be stored.

    data : the bytes to store
    mammogram : the decoded image
    header : the stored DICOM header; None for pictures, as are the next two
    identity, instance : from the uploaded header
    """

    data: bytes
    mammogram: Mammogram
    header: Dataset | None = None
    identity: Identity | None = None
    instance: Instance | None = None


def with_identity(data: bytes, name: str, tomosynthesis: Tomosynthesis = "mip") -> PreparedFile:
    """Prepare a file that is stored as received; errors as :func:`birads_app.imaging.decode.decode`."""
    mammogram = decode(data, name, tomosynthesis)
    if mammogram.source != "DICOM":
        return PreparedFile(data, mammogram)
    header = parser.read(data).dataset
    return PreparedFile(data, mammogram, header, read_identity(header), read_instance(header))


def without_identity(
    data: bytes, name: str, pseudonyms: Pseudonyms, tomosynthesis: Tomosynthesis = "mip"
) -> PreparedFile:
    """Prepare a file that is stored de-identified; errors as :func:`birads_app.imaging.decode.decode`."""
    if not parser.is_dicom(data):
        return _picture(decode(data, name, tomosynthesis))
    found = deidentify(data, pseudonyms)
    stored, mammogram = found.data, decode(found.data, name, tomosynthesis)
    marks = burned_in.find(mammogram) if _may_have_marks(found.header) else None
    if marks is not None:
        del mammogram  # large ones have 30 MB
        stored = _blanked(stored, marks)
        mammogram = decode(stored, name, tomosynthesis)
    mammogram = replace(mammogram, notes=(*found.notes, *mammogram.notes))
    return PreparedFile(stored, mammogram, found.header, found.identity, found.instance)


def _blanked(data: bytes, marks: Marks) -> bytes:
    """Blank the marks in a DICOM file."""
    file = parser.read(data)
    pixels = pixel_data.raw_pixels(file)
    pixels = pixels if pixels.flags.writeable else pixels.copy()
    burned_in.blank(pixels, marks)
    return with_pixels(file, pixels)


def _may_have_marks(header: Dataset) -> bool:
    """Return False for detector images that state that nothing is burned in."""
    by_detector = parser.text(header, "SOPClassUID") in _DETECTOR_IMAGES
    return not (by_detector and parser.text(header, "BurnedInAnnotation").upper() == "NO")


def _picture(mammogram: Mammogram) -> PreparedFile:
    """Encode only the grey values of a picture, as a PNG with 8 or 16 bits, without any metadata."""
    marks = burned_in.find(mammogram)
    pixels = mammogram.pixels
    if marks is not None:
        pixels = pixels.copy()
        burned_in.blank(pixels, marks)
    done, data = cv2.imencode(".png", (pixels >> 8).astype("u1") if mammogram.bits <= 8 else pixels)
    if not done:
        raise UnreadableImage(msg("image-not-storable"))
    return PreparedFile(data.tobytes(), replace(mammogram, pixels=pixels, source="PNG"))
