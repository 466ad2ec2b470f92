"""A case, and the image that its files are made of."""

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.uid import generate_uid

from tests.support import dicom_files
from tests.support.case_site import CaseSite
from tests.support.factories import breast

_SIDES = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


@dataclass(frozen=True)
class Case:
    """A case.

    given, right : cells of the table
    answer : sends the files to a site and words its answer as ``right`` does
    by_header : True if the answer is derived from the header, so that it has to be the same without de-identification
    slow : True for cases that repeat the kind of another one
    """

    given: str
    right: str
    answer: Callable[[CaseSite], str]
    by_header: bool = False
    slow: bool = False


def image(number: int = 0, **elements: object) -> bytes:
    """A view of a patient: R CC, L CC, R MLO or L MLO by its number, unless elements say otherwise."""
    side, view = _SIDES[number % 4]
    stated = {"ImageLaterality": side, "ViewPosition": view, "PatientID": "4711", "Modality": "MG"}
    stated |= {"StudyInstanceUID": "1.2.3", "SOPInstanceUID": generate_uid()} | elements
    return dicom_files.mammogram(breast(320, 256, number), **stated)


def four(study: str) -> tuple[tuple[str, bytes], ...]:
    """The four views of a study, with file names."""
    return tuple((f"IM{number}", image(number, StudyInstanceUID=study)) for number in range(4))
