"""DICOM objects of a stored exam for the patient's study, and their destination."""

from dataclasses import replace

import cv2
import numpy as np
from pydicom.dataset import Dataset

from birads_app.config import Settings, SettingsError
from birads_app.deid.identity import read_identity, read_instance
from birads_app.dicom_objects.breast_imaging_report import ReportedAssessment, breast_report
from birads_app.dicom_objects.context import Model, Reading, SourceImage, Study
from birads_app.dicom_objects.measurement_report import measurement_report
from birads_app.dicom_objects.secondary_capture import secondary_capture
from birads_app.imaging.dicom import parser
from birads_app.pacs.sender import Destination, DicomNode, DicomWeb, Tls
from birads_app.records import amendments, assessments, exams, findings, identities, view_corrections
from birads_app.records.assessments import breasts_of
from birads_app.records.errors import NoStudy, PatientNotCertain
from birads_app.records.identities import Identity, Instance
from birads_app.records.schema import Assessment, Exam, Image
from birads_app.terms.errors import BiradsError
from birads_app.terms.lexicon import ASSESSMENTS
from birads_app.terms.messages import msg
from birads_app.version import __version__


class DamagedPicture(BiradsError):
    """A stored picture is damaged."""


def objects_of(exam: Exam, model_version: str, identity: Identity | None = None) -> list[Dataset]:
    """Create the AI report and a capture for each image; repeated calls create the same objects.

    Parameters
    ----------
    identity : patient and study, by default the exam's own

    Raises
    ------
    NoStudy
        The exam's files name no study.
    NotFound
        A picture is missing, for instance because the exam is being deleted.
    SiteKeyDiffers, DamagedPicture
        Stored data cannot be read.
    """
    reading, images = _reading(exam, model_version, identity)
    pictures = [
        secondary_capture(reading, number, _display(image), _heat(image))
        for number, image in enumerate(images)
    ]
    return [measurement_report(reading), *pictures]


def report_of(
    exam: Exam, model_version: str, assessment: Assessment, identity: Identity | None = None
) -> Dataset:
    """Create a radiologist's report on the exam; parameters and errors as in :func:`objects_of`."""
    return breast_report(_reading(exam, model_version, identity)[0], reported(exam, assessment))


def reported(exam: Exam, assessment: Assessment) -> ReportedAssessment:
    """Return an assessment as it is reported, in English, with what it amends."""
    concluded, amendment = _reported(assessment), amendments.of(assessment, assessments.history(exam))
    if amendment is None:
        return concluded
    changes = "\n".join(f"{label}: {change}" for label, change in amendments.labelled(amendment))
    changes = changes or "Signed again without a change."
    return replace(concluded, replaces=_reported(amendment.replaced), changes=changes)


def _reported(assessment: Assessment) -> ReportedAssessment:
    """Return an assessment as it is reported, in English, by itself."""
    listed = [findings.from_json(finding) for finding in assessment.findings]
    management = ASSESSMENTS[assessment.overall].management if assessment.overall else ""
    return ReportedAssessment(
        reader=assessment.reader_name or assessment.reader.name,
        title=assessment.reader_title,
        at=assessment.at,
        overall=assessment.overall,
        breasts=breasts_of(assessment),
        density=assessment.density,
        findings="\n\n".join(filter(None, (findings.in_english(listed), assessment.text))),
        located=listed,
        sections={"management": management} | assessment.sections,
        signed=assessment.signed,
    )


def as_stored(exam: Exam) -> Identity:
    """Return patient and study from the headers of the stored files, with the pseudonym if they are de-identified."""
    found, instances = Identity(), {}
    for image in exam.images:
        if image.sop_uid:
            header = parser.parse(exams.file(image, "original").read_bytes()).dataset
            found, instances[image.id] = read_identity(header), read_instance(header)
    return replace(found, instances=instances)


def _reading(exam: Exam, model_version: str, identity: Identity | None) -> tuple[Reading, list[Image]]:
    """Return the context of an exam's objects, and those of its images that are in a study.

    Raises
    ------
    NoStudy, PatientNotCertain
    """
    # Headers of stored files have the date that the exam has; the patient's own study has the true one.
    dates_shifted = identity is not None and exam.date_shifted
    identity = identity or identities.of(exam)
    in_study = [] if identity is None else [image for image in exam.images if image.id in identity.instances]
    if identity is None or not identity.study_uid or not in_study:
        raise NoStudy(msg("no-study-for-results"))
    if identity.versions:
        raise PatientNotCertain(msg("patient-not-certain"))
    images = tuple(source_of(image, identity.instances[image.id]) for image in in_study)
    model = Model(exam.model, model_version, exam.demonstration, __version__)
    at = max([exam.created_at, *(image.set_by_hand for image in images if image.set_by_hand)])
    return Reading(study_of(identity, dates_shifted), images, model, at, exams.aggregate(exam)), in_study


def destination_of(settings: Settings) -> Destination | None:
    """Return the C-STORE destination if a host is set, else the STOW-RS server if any; raise SettingsError."""
    return node_of(settings) or dicom_web_of(settings)


def node_of(settings: Settings) -> DicomNode | None:
    """Return the C-STORE destination, if a host is set."""
    if not settings.pacs_host:
        return None
    tls = _tls(settings) if settings.pacs_tls else None
    return DicomNode(
        settings.pacs_host, settings.pacs_port, settings.pacs_ae_title, settings.dicom_ae_title, tls
    )


def dicom_web_of(settings: Settings) -> DicomWeb | None:
    """Return the DICOMweb server, if one is set; raise SettingsError."""
    if not settings.pacs_dicomweb_url:
        return None
    try:
        return DicomWeb(
            settings.pacs_dicomweb_url,
            settings.pacs_dicomweb_user,
            settings.pacs_dicomweb_password,
            settings.pacs_dicomweb_token,
            _tls(settings),
        )
    except ValueError as error:
        raise SettingsError(f"BIRADS_PACS_DICOMWEB_URL cannot be used: {error}") from None


def _tls(settings: Settings) -> Tls:
    certificate = settings.dicom_tls_certificate
    return Tls(settings.pacs_tls_authorities, certificate, settings.dicom_tls_key or certificate)


def study_of(identity: Identity, dates_shifted: bool) -> Study:
    """Return patient and study for DICOM objects."""
    return Study(
        uid=identity.study_uid,
        patient_name=identity.patient_name,
        patient_id=identity.patient_id,
        issuer=identity.issuer,
        birth_date=identity.birth_date,
        sex=identity.sex,
        date=identity.study_date,
        time=identity.study_time,
        id=identity.study_id,
        accession=identity.accession_number,
        description=identity.study_description,
        referring_physician=identity.referring_physician,
        dates_shifted=dates_shifted,
    )


def source_of(image: Image, instance: Instance) -> SourceImage:
    """Return an image of the study with its prediction."""
    rows, columns = _size_in_study(image)
    return SourceImage(
        sop_class=instance.sop_class,
        sop_instance=instance.sop_uid,
        series=instance.series_uid,
        laterality=image.laterality,
        view=image.view,
        prediction=view_corrections.prediction_of(image),
        rows=rows,
        columns=columns,
        standard=image.standard,
        set_by_hand=image.corrections[-1].at if image.corrections else None,
    )


def _size_in_study(image: Image) -> tuple[int, int]:
    """Return the (rows, columns) of the received image, which had pixels of another shape if they were made square."""
    warnings = image.prediction.warnings
    if image.prediction.marks and any(getattr(each, "code", "") == "pixels-not-square" for each in warnings):
        header = parser.parse(exams.file(image, "original").read_bytes()).dataset
        return int(header.Rows), int(header.Columns)
    return image.height, image.width


def _display(image: Image) -> np.ndarray:
    """Load the picture shown on pages, uint8 of shape (height, width)."""
    return _picture(image, "display", cv2.IMREAD_GRAYSCALE)


def _heat(image: Image) -> np.ndarray:
    """Load the heat map of the predicted category, uint8 RGBA."""
    return cv2.cvtColor(
        _picture(image, f"heat-{image.prediction.category}", cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA
    )


def _picture(image: Image, kind: str, mode: int) -> np.ndarray:
    data = np.frombuffer(exams.file(image, kind).read_bytes(), np.uint8)
    pixels = cv2.imdecode(data, mode)
    if pixels is None:
        raise DamagedPicture(msg("stored-picture-damaged"))
    return pixels
