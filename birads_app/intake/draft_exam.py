"""Make the exam of read images, not stored yet, with the patient's identity and pseudonym."""

import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from flask import current_app

from birads_app.deid.identity import merge, settle, with_versions
from birads_app.deid.pseudonyms import site_pseudonyms
from birads_app.imaging.dicom.dates import parse_date
from birads_app.intake.image_reading import DraftedImage, ReadImage
from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.predictor import Predictor
from birads_app.records import files, identities, view_corrections
from birads_app.records.identities import Identity
from birads_app.records.schema import Exam, Image, User
from birads_app.terms.messages import join, msg

_FILENAME_MAX = 200


def draft_exam(
    images: Sequence[ReadImage], predictor: Predictor, user: User, exam_id: str | None = None
) -> Exam:
    """Make the exam of some images, not stored yet."""
    exam = Exam(
        id=exam_id or uuid.uuid4().hex,
        uploader_id=user.id,
        model=predictor.bundle.name,
        demonstration=bool(predictor.bundle.cautions),
        pooling=predictor.bundle.pooling,
    )
    identity: Identity | None = None
    for image in images:
        drafted = image.drafted
        identity = identity if drafted.identity is None else merge(identity, drafted.identity)
        _add_image(exam, drafted, image.prediction)
        view_corrections.set_on_arrival(exam.images[-1], image.set_laterality, image.set_view, user)
        if identity is not None and drafted.instance is not None:
            identity = replace(identity, instances={**identity.instances, drafted.id: drafted.instance})
    if identity is not None:
        others = identities.of_study(exam.study_uid, but=exam.id) if exam.study_uid else ()
        attach_identity(exam, with_versions(identity, others))
    return exam


def attach_identity(exam: Exam, identity: Identity) -> None:
    """Attach the patient's identity and pseudonym; files that contradict each other make the exam need attention."""
    identity, contradictions = settle(identity)
    if contradictions:
        exam.attention = [msg("patients-contradictory", fields=join(contradictions, commas=True))]
    exam.pseudonym = site_pseudonyms().patient(identity)
    identities.attach(exam, identity)


def _add_image(exam: Exam, read: DraftedImage, prediction: ImagePrediction) -> None:
    """Add an image to an exam that is not stored yet."""
    position = len(exam.images)
    # Numbered in upload order, because a file's name may contain the patient's.
    shown = f"file-{position + 1}.{files.suffix(read.source)}" if deidentifies() else base_name(read.name)
    image = Image(
        id=read.id,
        position=position,
        filename=shown,
        source=read.source,
        view=read.view,
        laterality=read.laterality,
        role=read.role,
        prediction=prediction,
        width=read.width,
        height=read.height,
        placement=read.placement,
        fingerprint=read.fingerprint,
    )
    image.sent_name = printable(read.name)
    if read.header is not None:
        image.for_processing = read.header.intent == "FOR PROCESSING"
        image.sop_class = read.header.sop_class[:64] or None
        image.sop_uid = read.header.sop_uid[:64] or None
        exam.study_uid = exam.study_uid or read.header.study_uid[:64] or None
        set_exam_date(exam, exam.exam_date or parse_date(read.header.study_date))
    exam.images.append(image)


def deidentifies() -> bool:
    return bool(current_app.extensions["birads_settings"].deidentify)


def set_exam_date(exam: Exam, stored: date | None) -> None:
    """Set the date of an exam that is not stored yet, as its stored files state it."""
    exam.exam_date, exam.date_shifted = stored, stored is not None and deidentifies()


def base_name(filename: str) -> str:
    """Return the last part of an uploaded file's name, printable and shortened; shown, never used as a path."""
    return printable(filename.replace("\\", "/").rsplit("/", 1)[-1])


def printable(name: str) -> str:
    """Return a name without control characters, shortened; "unnamed" if nothing is left."""
    name = "".join(letter for letter in name if unicodedata.category(letter)[0] != "C").strip()
    return name[:_FILENAME_MAX] or "unnamed"
