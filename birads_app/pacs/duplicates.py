"""Filter for duplicates and the product's own results."""

from flask import current_app
from pydicom.dataset import Dataset

from birads_app.compute.pool import ComputePool
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.dicom_objects.context import PRODUCT
from birads_app.imaging.dicom.parser import text
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.repetition import fingerprint_as_stored
from birads_app.records import exams
from birads_app.terms.errors import InputError


def is_stored(sop_uid: str) -> bool:
    """Return True if the image with this SOP Instance UID is stored, under this UID or its pseudonym."""
    return exams.holds_image(sop_uid, _site().uid(sop_uid))


def is_changed(file: SourceFile) -> bool:
    """Return True if a file whose UID is stored differs from the stored image; False if that cannot be told."""
    settings, site = current_app.extensions["birads_settings"], _site()
    compute: ComputePool = current_app.extensions["birads_compute"]
    pseudonyms = site if settings.deidentify else None
    try:
        found = compute.run(fingerprint_as_stored, file, pseudonyms, settings.tomosynthesis)
    except InputError:
        return False
    if found is None:
        return False
    uid, digest = found
    known = exams.fingerprints(uid, site.uid(uid))
    return None not in known and digest not in known


def is_own(header: Dataset) -> bool:
    """Return True for objects of this product, which a PACS may send like any other object of the study."""
    return text(header, "Manufacturer") == PRODUCT


def _site() -> Pseudonyms:
    return Pseudonyms(current_app.extensions["birads_site_key"])
