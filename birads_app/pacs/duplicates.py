"""Which objects from the network are not taken in, because nothing new would come of them."""

from flask import current_app
from pydicom.dataset import Dataset

from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.dicom_objects.context import PRODUCT
from birads_app.imaging.dicom.parser import text
from birads_app.records import exams


def is_stored(sop_uid: str) -> bool:
    """True where an exam has the image with this SOP Instance UID, under it or under its pseudonym."""
    pseudonyms = Pseudonyms(current_app.extensions["birads_site_key"])
    return exams.holds_image(sop_uid, pseudonyms.uid(sop_uid))


def is_own(header: Dataset) -> bool:
    """True for what this product wrote: a PACS may send results on like any other object of the study."""
    return text(header, "Manufacturer") == PRODUCT
