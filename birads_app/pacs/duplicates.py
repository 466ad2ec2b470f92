"""Filter for duplicates and the product's own results."""

from flask import current_app
from pydicom.dataset import Dataset

from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.dicom_objects.context import PRODUCT
from birads_app.imaging.dicom.parser import text
from birads_app.records import exams


def is_stored(sop_uid: str) -> bool:
    """Return True if the image with this SOP Instance UID is stored, under this UID or its pseudonym."""
    pseudonyms = Pseudonyms(current_app.extensions["birads_site_key"])
    return exams.holds_image(sop_uid, pseudonyms.uid(sop_uid))


def is_own(header: Dataset) -> bool:
    """Return True for objects of this product, which a PACS may send like any other object of the study."""
    return text(header, "Manufacturer") == PRODUCT
