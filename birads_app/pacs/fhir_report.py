"""A radiologist's report on a stored exam as a FHIR R4 DiagnosticReport."""

from typing import Any

from birads_app.fhir.diagnostic_report import ReportSource, diagnostic_report
from birads_app.pacs import results
from birads_app.records import patient_details, reading_acts
from birads_app.records.identities import Identity
from birads_app.records.patient_details import PatientDetails
from birads_app.records.schema import Assessment, Exam, User


def fhir_report_of(exam: Exam, assessment: Assessment, patient: PatientDetails) -> dict[str, Any]:
    """Return the report as JSON members, with the patient as the account may see her.

    With the identity it refers to the patient's original study, else to the study as stored, under the pseudonym.
    """
    identity = patient.identity or _anonymous(exam)
    in_study = [image for image in exam.images if image.id in identity.instances]
    pseudonymised, made = patient.identity is None, results.reported(exam, assessment)
    status = "amended" if made.replaces else "final"
    if not assessment.signed:
        status = "entered-in-error" if assessment.withdrawal else "preliminary"
    return diagnostic_report(
        ReportSource(
            id=exam.id,
            study=results.study_of(identity, dates_shifted=pseudonymised and exam.date_shifted),
            images=[results.source_of(image, identity.instances[image.id]) for image in in_study],
            sides=[image.laterality for image in exam.images],
            assessment=made,
            pseudonymised=pseudonymised,
            status=status,
        )
    )


def download_fhir_report(exam: Exam, assessment: Assessment, user: User) -> dict[str, Any]:
    """Return the report for an account, on record: the download, and the look at the identity if it shows one."""
    patient = patient_details.of(exam, user)
    if patient.identity is not None:
        reading_acts.identity_shown(user.name, exam.id, "FHIR")
    reading_acts.downloaded(user.name, "download report", exam.id, "FHIR")
    return fhir_report_of(exam, assessment, patient)


def _anonymous(exam: Exam) -> Identity:
    """Return the study as stored, without anything that names the patient."""
    stored = results.as_stored(exam)
    return Identity(
        patient_id=exam.pseudonym or "",
        study_uid=stored.study_uid,
        study_date=stored.study_date,
        instances=stored.instances,
    )
