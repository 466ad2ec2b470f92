"""An uploaded file -> what is stored of it, and what was known about the patient.

Predictions are made from what is stored, so that a stored exam can always be read again.
"""

from dataclasses import dataclass, replace

import cv2
from pydicom.dataset import Dataset

from birads_app.deid import burned_in
from birads_app.deid.burned_in import Marks
from birads_app.deid.deidentify import deidentify, with_words
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
    """A file as it is going to be stored.

    data : its bytes
    mammogram : what they show
    header : the stored DICOM header; None for pictures, like the next two
    identity, instance : what the uploaded header said
    """

    data: bytes
    mammogram: Mammogram
    header: Dataset | None = None
    identity: Identity | None = None
    instance: Instance | None = None


def with_identity(data: bytes, name: str, tomosynthesis: Tomosynthesis = "maximum") -> PreparedFile:
    """A file that is stored as it came; errors as :func:`birads_app.imaging.decode.decode`."""
    mammogram = decode(data, name, tomosynthesis)
    if mammogram.source != "DICOM":
        return PreparedFile(data, mammogram)
    header = parser.read(data).dataset
    return PreparedFile(data, mammogram, header, read_identity(header), read_instance(header))


def without_identity(
    data: bytes, name: str, pseudonyms: Pseudonyms, tomosynthesis: Tomosynthesis = "maximum"
) -> PreparedFile:
    """A file that is stored without whom it shows; errors as :func:`birads_app.imaging.decode.decode`."""
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
    """A DICOM file without what is marked."""
    file = parser.read(data)
    words = pixel_data.stored_words(file)
    words = words if words.flags.writeable else words.copy()
    burned_in.blank(words, marks)
    return with_words(file, words)


def _may_have_marks(header: Dataset) -> bool:
    """False for what a detector made and says that nothing is burnt into it."""
    by_detector = parser.text(header, "SOPClassUID") in _DETECTOR_IMAGES
    return not (by_detector and parser.text(header, "BurnedInAnnotation").upper() == "NO")


def _picture(mammogram: Mammogram) -> PreparedFile:
    """A picture's grey values alone, as a PNG of 8 or 16 bits: whatever else its file held is gone."""
    marks = burned_in.find(mammogram)
    pixels = mammogram.pixels
    if marks is not None:
        pixels = pixels.copy()
        burned_in.blank(pixels, marks)
    done, data = cv2.imencode(".png", (pixels >> 8).astype("u1") if mammogram.bits <= 8 else pixels)
    if not done:
        raise UnreadableImage(msg("image-not-storable"))
    return PreparedFile(data.tobytes(), replace(mammogram, pixels=pixels, source="PNG"))
