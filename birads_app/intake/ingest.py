"""Ingestion of files, shared by pages, API and PACS: all files are read and predicted, then all or none are stored.

The file that is predicted and stored is the de-identified one, unless a setting says otherwise; the identity is stored
separately and encrypted.
"""

import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from flask import current_app

from birads_app.deid.identity import merge
from birads_app.deid.prepare import PreparedFile, prepare
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging.decode import Mammogram
from birads_app.imaging.dicom import parser
from birads_app.imaging.limits import ONE_PICTURE_AT_A_TIME
from birads_app.imaging.segmentation import breast_mask
from birads_app.intake import completeness, study_grouping
from birads_app.intake.study_grouping import Upload
from birads_app.model import occlusion
from birads_app.model.predictor import ImagePrediction, Predictor
from birads_app.records import audit_log, exams, files, identities, refused_files
from birads_app.records.identities import Identity
from birads_app.records.schema import Exam, Image, Status, User
from birads_app.terms.errors import BiradsError, InputError
from birads_app.terms.messages import Message, join, msg
from birads_app.terms.views import ViewRole

_FILENAME_MAX = 200
_FAILURE_MAX = 500


@dataclass(frozen=True)
class FileProblem:
    """Reason why a file is refused; ``filename`` is empty if the upload as a whole is refused.

    kind : class of the domain error, from which the web derives the HTTP status. The class and not the error itself,
        whose traceback would keep the file's bytes in memory.
    """

    filename: str
    message: str
    kind: type[BiradsError]

    @property
    def line(self) -> str:
        """The message after the file's name."""
        if not self.filename:
            return self.message
        return msg("file-problem", file=self.filename, problem=self.message)


class NoFiles(InputError):
    """The upload has no file."""


class TooManyFiles(InputError):
    """The upload has more files than BIRADS_MAX_FILES."""


class IntakeRefused(BiradsError):
    """An upload is refused; ``problems`` has a reason for each file concerned."""

    def __init__(self, problems: list[FileProblem]) -> None:
        super().__init__(join((problem.line for problem in problems), lines=True))
        self.problems = problems


def ingest_exam(
    uploads: Iterable[tuple[str, bytes]],
    user: User,
    *,
    exam_id: str | None = None,
    partial: bool = False,
    reasons: Sequence[Message] = (),
) -> Exam:
    """Read, predict and store the files of one exam.

    Parameters
    ----------
    uploads : names and contents in the order of the exam's images, best lazily, because each content is released
        before the next is read. Their number should have passed :func:`check_count`.
    user : uploader of the exam
    exam_id : id of the exam, so that a repeat after a crash creates no second one
    partial : leave out unusable files instead of refusing all, and say so in the exam; names must be neutral, and
        BIRADS_MAX_FILES does not apply
    reasons : why the exam needs attention, as known when the last file has been read

    Raises
    ------
    IntakeRefused
        There are no files, too many, or some are unusable; if ``partial``, all are unusable. Nothing is stored.
    NoModel, BundleError
        There is no model.
    """
    draft = files.open_draft()
    try:
        exam, problems = _predict_exam(uploads, user, draft, exam_id, partial)
        if not (partial and exam.images):
            if problems:
                raise IntakeRefused(problems)
            check_count(len(exam.images))
        completeness.describe(exam, [(problem.filename, problem.message) for problem in problems], reasons)
        return _store(exam, draft, user)
    finally:
        files.discard(draft)


def _store(exam: Exam, draft: Path, user: User) -> Exam:
    """Store an exam; the images of the returned one know their names as sent."""
    sent_names = {image.id: image.sent_name for image in exam.images}
    stored = exams.store(exam, draft, user)
    for image in stored.images:
        image.sent_name = sent_names.get(image.id, "")
    return stored


def store_failure(exam_id: str, identity: Identity | None, refusal: IntakeRefused, user: User) -> None:
    """Store a failed exam without images, so that the worklist shows that it arrived and why it is empty.

    If its study has an exam already, only log it: later objects are rarely images.
    """
    exam = Exam(id=exam_id, uploader_id=user.id, model="", demonstration=False, status=Status.FAILED)
    exam.failure = _in_short(problem.message for problem in refusal.problems)
    completeness.describe(exam, [(problem.filename, problem.message) for problem in refusal.problems], ())
    exam.attention = []  # the failure says it
    if identity is not None:
        pseudonyms, plain = _pseudonyms(), not _deidentifies()
        exam.study_uid = (identity.study_uid if plain else pseudonyms.uid(identity.study_uid))[:64]
        exam.exam_date = _date(
            identity.study_date if plain else pseudonyms.date(identity.study_date, identity)
        )
        _attach_identity(exam, identity)
    if exam.study_uid and exams.of_study(exam.study_uid):
        audit_log.log(user.name, "refuse study", exam_id)
        return
    draft = files.open_draft()
    try:
        exams.store(exam, draft, user)
    finally:
        files.discard(draft)


def _in_short(messages: Iterable[str]) -> Message:
    """Join the distinct messages, as many as fit into the worklist."""
    kept: list[str] = []
    for message in dict.fromkeys(messages):
        if not kept or sum(map(len, kept)) + len(message) <= _FAILURE_MAX:
            kept.append(message)
    return join(kept)


def ingest_studies(uploads: Iterable[Upload], user: User) -> list[Exam]:
    """Read, predict and store files of one or several exams, including archives: all exams, or none.

    Raises
    ------
    IntakeRefused, NoModel, BundleError
        As :func:`ingest_exam`.
    """
    limit = current_app.extensions["birads_settings"].max_files
    try:
        found = study_grouping.unpack(uploads, limit)
        check_count(len(found))
        groups = study_grouping.by_study(found)
    except InputError as error:
        refused_files.count(user.name, error)
        raise IntakeRefused([FileProblem("", error.message, type(error))]) from error
    drafts = [files.open_draft() for _ in groups]
    taken: list[Exam] = []
    try:
        predicted = [
            _predict_exam(((upload.name, upload.read()) for upload in group), user, draft)
            for group, draft in zip(groups, drafts, strict=True)
        ]
        if problems := [problem for _, found_problems in predicted for problem in found_problems]:
            raise IntakeRefused(problems)
        for exam, _ in predicted:
            completeness.describe(exam, (), ())
        for (exam, _), draft in zip(predicted, drafts, strict=True):
            taken.append(_store(exam, draft, user))
        return taken
    except BaseException:
        for exam in taken:
            exams.delete(exam, user)
        raise
    finally:
        for draft in drafts:
            files.discard(draft)


def _predict_exam(
    uploads: Iterable[tuple[str, bytes]],
    user: User,
    draft: Path,
    exam_id: str | None = None,
    partial: bool = False,
) -> tuple[Exam, list[FileProblem]]:
    """Predict the files; return the exam, which is not stored yet, and the problems of unusable files."""
    predictor: Predictor = current_app.extensions["birads_models"].get()
    exam = Exam(
        id=exam_id or uuid.uuid4().hex,
        uploader_id=user.id,
        model=predictor.bundle.name,
        demonstration=predictor.bundle.demonstration,
        pooling=predictor.bundle.pooling,
    )
    return exam, _read_all(uploads, exam, user, draft, predictor, partial)


def check_count(count: int) -> None:
    """Raise IntakeRefused if an upload has no file or more than BIRADS_MAX_FILES."""
    limit = current_app.extensions["birads_settings"].max_files
    if count == 0:
        raise IntakeRefused([FileProblem("", msg("no-files"), NoFiles)])
    if count > limit:
        message = msg(
            "too-many-files",
            count=count,
            limit=limit,
        )
        raise IntakeRefused([FileProblem("", message, TooManyFiles)])


def base_name(filename: str) -> str:
    """Return the last part of an uploaded file's name, printable and shortened; shown, never used as a path."""
    return printable(filename.replace("\\", "/").rsplit("/", 1)[-1])


def printable(name: str) -> str:
    """Return a name without control characters, shortened; "unnamed" if nothing is left."""
    name = "".join(letter for letter in name if unicodedata.category(letter)[0] != "C").strip()
    return name[:_FILENAME_MAX] or "unnamed"


def _read_all(
    uploads: Iterable[tuple[str, bytes]],
    exam: Exam,
    user: User,
    draft: Path,
    predictor: Predictor,
    partial: bool,
) -> list[FileProblem]:
    """Add each file's image to the exam and the draft; return the problems of unusable files."""
    problems: list[FileProblem] = []
    identity: Identity | None = None
    for filename, data in uploads:
        name = base_name(filename)
        with ONE_PICTURE_AT_A_TIME:  # the engine uses all cores for one image anyway
            try:
                file = _read(data, name)
                del data  # as large as the picture, and not needed for the prediction
                merged = identity if file.identity is None else merge(identity, file.identity)
                prediction = predictor.predict(file.mammogram)
                identity = merged  # only now: an unusable file must not determine the patient
            except InputError as error:
                refused_files.count(user.name, error)
                problems.append(FileProblem(name, error.message, type(error)))
                continue
            if problems and not partial:
                continue  # nothing will be stored; the rest is only checked for problems
            image = _image(exam, name, file, prediction)
            image.sent_name = printable(filename)
            if identity is not None:
                identity = _with_instance(identity, image, file)
            overlays = _overlays(file.mammogram, prediction)
            files.write_image(draft, image, file.chunks, file.mammogram, overlays)
    if identity is not None:
        _attach_identity(exam, identity)
    return problems


def _attach_identity(exam: Exam, identity: Identity) -> None:
    exam.pseudonym = _pseudonyms().patient(identity)
    identities.attach(exam, identity)


def _read(data: bytes, name: str) -> PreparedFile:
    """Prepare a file as it will be stored; raise InputError."""
    tomosynthesis = current_app.extensions["birads_settings"].tomosynthesis
    return prepare(data, name, _pseudonyms() if _deidentifies() else None, tomosynthesis)


def _deidentifies() -> bool:
    return bool(current_app.extensions["birads_settings"].deidentify)


def _pseudonyms() -> Pseudonyms:
    return Pseudonyms(current_app.extensions["birads_site_key"])


def _image(exam: Exam, name: str, file: PreparedFile, prediction: ImagePrediction) -> Image:
    """Add one predicted image to the exam."""
    mammogram, position = file.mammogram, len(exam.images)
    height, width = mammogram.pixels.shape
    image = Image(
        id=uuid.uuid4().hex,
        position=position,
        # Numbered in upload order, because a file's name may contain the patient's.
        filename=f"file-{position + 1}.{files.suffix(mammogram.source)}" if _deidentifies() else name,
        source=mammogram.source,
        view=mammogram.view,
        laterality=mammogram.laterality,
        standard=mammogram.role is ViewRole.STANDARD,
        category=prediction.category,
        probabilities=prediction.probabilities,
        prediction_set=list(prediction.prediction_set),
        warnings=list(prediction.warnings),
        width=width,
        height=height,
    )
    if file.header is not None:
        image.sop_class = parser.text(file.header, "SOPClassUID")[:64] or None
        image.sop_uid = parser.text(file.header, "SOPInstanceUID")[:64] or None
        exam.study_uid = exam.study_uid or parser.text(file.header, "StudyInstanceUID")[:64] or None
        exam.exam_date = exam.exam_date or _date(parser.text(file.header, "StudyDate"))
    exam.images.append(image)
    return image


def _date(text: str) -> date | None:
    """Parse a DICOM date, YYYYMMDD; None if it is not valid."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _with_instance(identity: Identity, image: Image, file: PreparedFile) -> Identity:
    """Add an image's original UIDs to the identity; pictures have none."""
    if file.instance is None:
        return identity
    return replace(identity, instances={**identity.instances, image.id: file.instance})


def _overlays(mammogram: Mammogram, prediction: ImagePrediction) -> dict[str, np.ndarray]:
    """Render each category's heat map as an RGBA picture of shape (height, width, 4)."""
    height, width = mammogram.pixels.shape
    box, flipped, shape = prediction.box, prediction.flipped, (height, width)
    mask = breast_mask(prediction.inside, box, flipped, shape)
    return {
        code: occlusion.render_heat_map(heat, box, flipped, shape, mask)
        for code, heat in prediction.maps.items()
    }
