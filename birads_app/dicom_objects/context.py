"""Context of a DICOM object: study, source images and model."""

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from birads_app.model.aggregation import ExamPrediction
from birads_app.model.image_prediction import ImagePrediction

PRODUCT = "BI-RADS reader"
# Method of de-identification of objects of a study whose dates were shifted.
SHIFTED = "Study date shifted"
CHARACTER_SET = "ISO_IR 192"  # UTF-8

_NAMESPACE = uuid.UUID("6f0f0d57-5b0c-4d53-9f0b-9a4c1c7a3e52")
_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")


@dataclass(frozen=True)
class Study:
    """Patient and study from the images' headers; empty text if not stated.

    birth_date, date : YYYYMMDD
    dates_shifted : the date was moved to protect the patient, whose identity was removed
    time : HHMMSS, with or without a fraction
    sex : M, F or O
    """

    uid: str
    patient_name: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""
    date: str = ""
    time: str = ""
    id: str = ""
    accession: str = ""
    description: str = ""
    referring_physician: str = ""
    dates_shifted: bool = False


@dataclass(frozen=True)
class SourceImage:
    """An image of the study with its prediction.

    laterality : L or R; view : such as CC or MLO; None if unknown
    rows, columns : of the image in its study, in pixels
    standard : False for special and unknown views and other images, which are not included in the breast's result
    set_by_hand : time at which a person set side and view; None if they are as received
    """

    sop_class: str
    sop_instance: str
    series: str
    laterality: str | None
    view: str | None
    prediction: ImagePrediction
    rows: int
    columns: int
    standard: bool = True
    set_by_hand: datetime | None = None


@dataclass(frozen=True)
class Model:
    """The model that read the images.

    version : distinguishes models of the same name, such as the bundle's digest; at most 64 characters
    software : the product's version
    """

    name: str
    version: str
    demonstration: bool
    software: str


@dataclass(frozen=True)
class Reading:
    """Predictions of one model for a study's images at one time (with time zone).

    answer : what is made of them for each breast and the exam; None where there is no standard view

    Raises ValueError without images, because an object must refer to at least one.
    """

    study: Study
    images: tuple[SourceImage, ...]
    model: Model
    at: datetime
    aggregate: ExamPrediction | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError("A reading needs at least one image of the study. Got none.")

    def uid(self, kind: str, *parts: str) -> UID:
        """Derive a UID from these images, views set manually and this model; it is always the same."""
        images = sorted(f"{image.sop_instance}{image.set_by_hand or ''}" for image in self.images)
        return make_uid(kind, self.study.uid, self.model.name, self.model.version, *images, *parts)


def make_uid(*parts: str) -> UID:
    """Derive a UID from the parts, always the same: 2.25 and a UUID as a decimal number (PS3.5 B.2)."""
    name = "\n".join(parts)
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, name).int}")


def reference(study: Study, image: SourceImage) -> Dataset:
    """Build the part of an image's header that objects referring to it copy.

    Dates, times and sex that violate the standard are left out, because they would make the object invalid.
    """
    header = Dataset()
    header.SpecificCharacterSet = CHARACTER_SET
    header.PatientName, header.PatientID = study.patient_name, study.patient_id
    if study.issuer:
        header.IssuerOfPatientID = study.issuer
    header.PatientBirthDate = study.birth_date if _DATE.fullmatch(study.birth_date) else ""
    header.PatientSex = study.sex if study.sex in ("M", "F", "O") else ""
    header.StudyInstanceUID, header.StudyID = study.uid, study.id
    header.StudyDate = study.date if _DATE.fullmatch(study.date) else ""
    header.StudyTime = study.time if _TIME.fullmatch(study.time) else ""
    header.AccessionNumber = study.accession
    header.ReferringPhysicianName = study.referring_physician
    if study.description:
        header.StudyDescription = study.description
    header.SOPClassUID, header.SOPInstanceUID = image.sop_class, image.sop_instance
    header.SeriesInstanceUID, header.Modality = image.series, "MG"
    return header


def references(reading: Reading) -> list[Dataset]:
    """Build :func:`reference` for every image."""
    return [reference(reading.study, image) for image in reading.images]


def equipment(model: Model) -> dict[str, Any]:
    """Return the equipment arguments of highdicom's constructors."""
    return {
        "manufacturer": PRODUCT,
        "manufacturer_model_name": model.name,
        "software_versions": [model.software, model.version],
        "specific_character_set": CHARACTER_SET,
    }


def stamp(made: Dataset, at: datetime, study: Study) -> None:
    """Set an object's date and time to ``at``, so that the same reading gives the same object.

    DICOM dates are local; ``at`` is converted to the server's time zone. An object of a study whose dates were shifted
    says so.
    """
    if study.dates_shifted:
        made.PatientIdentityRemoved = "YES"
        made.DeidentificationMethod = SHIFTED
        made.LongitudinalTemporalInformationModified = "MODIFIED"
    local = at.astimezone()
    date, time = local.strftime("%Y%m%d"), local.strftime("%H%M%S")
    made.InstanceCreationDate = made.ContentDate = date
    made.InstanceCreationTime = made.ContentTime = time
    for helper in made.get("ContributingEquipmentSequence", []):  # highdicom names itself, and the moment
        helper.ContributionDateTime = date + time
