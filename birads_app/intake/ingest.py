"""Ingestion of files, shared by pages, API and PACS: all files are read and predicted, then all or none are stored.

The file that is predicted and stored is the de-identified one, unless a setting says otherwise; the identity is stored
separately and encrypted.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain, islice

from flask import current_app
from sqlalchemy.orm import Session

from birads_app.compute.pool import ComputePool
from birads_app.compute.turns import Urgency
from birads_app.deid.pseudonyms import site_pseudonyms
from birads_app.imaging.dicom.dates import parse_date
from birads_app.imaging.file_signatures import PICTURE
from birads_app.imaging.source_file import SourceFile
from birads_app.intake import archives, completeness, raw_twins, study_grouping
from birads_app.intake.companions import OWN_RESULT, Companion, Companions
from birads_app.intake.draft_exam import (
    attach_identity,
    base_name,
    deidentifies,
    draft_exam,
    set_exam_date,
)
from birads_app.intake.image_reading import ImageReader, ReadImage, RefusedImage
from birads_app.intake.repetition import (
    exam_of_key,
    is_stored,
    keyed_id,
    sharing_uids,
    stored_exam,
    without_repeated,
)
from birads_app.model.predictor import ModelSource
from birads_app.monitoring import instruments
from birads_app.records import audit_log, exams, files, prior_searches, refused_files, view_corrections
from birads_app.records.derivation_queue import Announcement, announce
from birads_app.records.errors import AttemptOvertaken
from birads_app.records.schema import Exam, Status, User
from birads_app.terms.errors import BiradsError, InputError
from birads_app.terms.messages import Message, join, msg

log = logging.getLogger(__name__)

_FAILURE_MAX = 500
# Objects of a received study. Four views, each also raw, as a volume and with its projections, are about 120.
_OBJECTS_MAX = 300

_Unusable = RefusedImage | Companion


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


def ingest_received(
    sent: Iterable[SourceFile],
    user: User,
    exam_id: str,
    check: Callable[[Session], None] | None = None,
) -> Exam | None:
    """Read, predict and store the objects of a study from the network as one exam.

    Objects that are stored already and have not changed are passed over, as are the product's own results. Unusable
    ones are left out, and the exam says so; if none can be used, the exam has failed and has no images. A study that
    was requested as a prior becomes an exam that is not to be read.

    Parameters
    ----------
    sent : in order of arrival, best lazily, because each content is released after it is read; with neutral names
    exam_id : id of the exam, so that a repeat after a crash creates no second one
    check : as for :func:`birads_app.records.exams.store`

    Returns
    -------
    The exam; None if there is nothing new, or nothing usable for a study that has an exam.

    Raises
    ------
    NoModel, BundleError
        There is an image to be predicted, but no model.
    """
    companions = Companions()
    with _reader() as reader:
        images, refused, unread = _read(
            sent, reader, companions, _OBJECTS_MAX, lambda image: is_stored(image, site_pseudonyms())
        )
        companions = Companions([one for one in companions.found if one.kind != OWN_RESULT])
        unusable = refused or ([] if images else companions.found)
        _count_refused(unusable, user)
        if not images:
            return _store_failure(exam_id, unusable, user) if unusable else None
        distinct, repeated = without_repeated(images[:_OBJECTS_MAX])
        exam = draft_exam(distinct, reader.predictor, user, exam_id)
        exam.notes = [*companions.notes((), ()), *repeated]
        if prior_searches.is_requested(exam.study_uid):
            exam.status = Status.PRIOR
        over = [msg("objects-over-limit", most=_OBJECTS_MAX)] if unread or len(images) > _OBJECTS_MAX else []
        completeness.describe(exam, _reasons(refused), [*over, *sharing_uids(distinct)])
        return _store([exam], distinct, reader, user, check)[0]


@instruments.timed("store")
def _store(
    drafted: Iterable[Exam],
    images: Iterable[ReadImage],
    reader: ImageReader,
    user: User,
    check: Callable[[Session], None] | None,
) -> list[Exam]:
    """Store exams with their images' files, all or none; their images know their names as sent."""
    stored: list[Exam] = []
    announced: list[Announcement] = []
    try:
        for exam in drafted:
            raw_twins.leave_out(exam.images)
            sent_names = {image.id: image.sent_name for image in exam.images}
            materials = {
                image.drafted.id: image.material for image in images if image.drafted.id in sent_names
            }
            part = files.part_of(reader.draft, sent_names)
            try:
                announced.append(announce(exam.id, materials))
                stored.append(exams.store(exam, part, user, view_corrections.acts_on_arrival(exam), check))
            finally:
                files.discard(part)
            for image in stored[-1].images:
                image.sent_name = sent_names.get(image.id, "")
    except BaseException as error:
        for announcement in announced:
            announcement.withdraw()
        for exam in () if isinstance(error, AttemptOvertaken) else stored:  # the other process counts on them
            exams.undo(exam, user)
        raise
    for announcement in announced:
        announcement.make_later(reader.predictor)
    return stored


@contextmanager
def _reader(urgency: Urgency = Urgency.REQUEST) -> Iterator[ImageReader]:
    """Yield the reader of an upload; its draft is removed afterwards."""
    settings = current_app.extensions["birads_settings"]
    models: ModelSource = current_app.extensions["birads_models"]
    compute: ComputePool = current_app.extensions["birads_compute"]
    draft = files.open_draft()
    try:
        pseudonyms = site_pseudonyms() if settings.deidentify else None
        yield ImageReader(models, compute, draft, pseudonyms, settings.tomosynthesis, urgency)
    finally:
        files.discard(draft)


def _store_failure(exam_id: str, refused: Sequence[_Unusable], user: User) -> Exam | None:
    """Store a failed exam without images, so that the worklist shows that it arrived and why it is empty.

    If its study has an exam already, only log it, and return None: later objects are rarely images.
    """
    kinds = ", ".join(sorted({type(file.error).__name__ for file in refused}))
    log.warning("Exam %s is empty: none of %d objects can be used (%s)", exam_id, len(refused), kinds)
    exam = Exam(id=exam_id, uploader_id=user.id, model="", demonstration=False, status=Status.FAILED)
    exam.failure = in_short(file.error.message for file in refused)
    completeness.describe(exam, _reasons(refused), ())
    exam.attention = []  # the failure says it
    identity = next((file.identity for file in refused if file.identity is not None), None)
    if identity is not None:
        pseudonyms, plain = site_pseudonyms(), not deidentifies()
        exam.study_uid = (identity.study_uid if plain else pseudonyms.uid(identity.study_uid))[:64]
        day = identity.study_date if plain else pseudonyms.date(identity.study_date, identity)
        set_exam_date(exam, parse_date(day))
        attach_identity(exam, identity)
    if exam.study_uid and exams.of_study(exam.study_uid):
        audit_log.log(user.name, "refuse study", exam_id)
        return None
    draft = files.open_draft()
    try:
        return exams.store(exam, draft, user)
    finally:
        files.discard(draft)


def in_short(messages: Iterable[str]) -> Message:
    """Join the distinct messages, as many as fit into a line of the worklist or the queue."""
    kept: list[str] = []
    for message in dict.fromkeys(messages):
        if not kept or sum(map(len, kept)) + len(message) <= _FAILURE_MAX:
            kept.append(message)
    return join(kept)


def ingest_studies(
    sent: Iterable[SourceFile],
    user: User,
    *,
    once: bool = False,
    key: str | None = None,
    urgency: Urgency = Urgency.REQUEST,
    check: Callable[[Session], None] | None = None,
) -> list[Exam]:
    """Read, predict and store files of one or several exams, including archives: all exams, or none.

    Parameters
    ----------
    once : return the stored exam, with ``already_stored``, for a study that is stored already and was read by the same
        model
    key : of the request, with which the user may repeat it; its exams are then returned instead of being stored again
    urgency : of reading the files
    check : as for :func:`birads_app.records.exams.store`

    Raises
    ------
    IntakeRefused
        There are no files, too many, or unusable ones.
    KeyReused
        The user has sent other files with the key.
    NoModel, BundleError
        As :func:`ingest_received`.
    """
    arriving = iter(sent)
    first = list(islice(arriving, 1))
    check_count(len(first))  # nothing was sent that could be refused and counted
    companions = Companions()
    with _reader(urgency) as reader:
        images = _read_upload(chain(first, arriving), reader, companions, user, urgency)
        drafted = _draft_exams(images, companions, reader, user, key)
        with nullcontext() if key is None else files.only_one(drafted[0].id):
            existing = [
                (exam_of_key(exam) if key is not None else None) or (stored_exam(exam) if once else None)
                for exam in drafted
            ]
            new = [exam for exam, stored in zip(drafted, existing, strict=True) if stored is None]
            for exam in new if key is not None and check is None else ():
                files.withdraw(exam)  # remains of an interrupted attempt
            created = iter(_store(new, images, reader, user, check))
        for stored in filter(None, existing):
            stored.already_stored = True
        return [stored or next(created) for stored in existing]


def _read_upload(
    sent: Iterable[SourceFile], reader: ImageReader, companions: Companions, user: User, urgency: Urgency
) -> list[ReadImage]:
    """Read the images of an upload; raise IntakeRefused unless all files can be used, and count the others."""
    limit = current_app.extensions["birads_settings"].max_files
    files_sent = archives.unpacked(sent, limit, companions, current_app.extensions["birads_compute"], urgency)
    try:
        images, refused, unread = _read(files_sent, reader, companions, limit)
        unusable = refused or ([] if images else companions.found)
        count = len(images) + len(refused) + unread
        if (count or not unusable) and (problem := _unfit_count(count, limit)):
            raise problem
    except InputError as error:
        refused_files.count(user.name, error)
        raise IntakeRefused([FileProblem("", error.message, type(error))]) from error
    _count_refused(unusable, user)
    if unusable:
        raise IntakeRefused([_problem(file) for file in unusable])
    return images


def _draft_exams(
    images: Sequence[ReadImage], companions: Companions, reader: ImageReader, user: User, key: str | None
) -> list[Exam]:
    """Make the exams of an upload's images, one for each study; their ids follow from the key if there is one."""
    drafted = []
    for number, group in enumerate(study_grouping.by_study(images)):
        distinct, repeated = without_repeated(group)
        exam_id = None if key is None else keyed_id(user, key, number)
        exam = draft_exam(distinct, reader.predictor, user, exam_id)
        exam.notes = [*companions.notes(_studies(group), _studies(images)), *repeated]
        completeness.describe(exam, (), sharing_uids(distinct))
        drafted.append(exam)
    return drafted


def _read(
    sent: Iterable[SourceFile],
    reader: ImageReader,
    companions: Companions,
    limit: int,
    passes_over: Callable[[ReadImage], bool] = lambda image: False,
) -> tuple[list[ReadImage], list[RefusedImage], int]:
    """Read files; return the images, the unusable files, and the number of unread files beyond the limit.

    Parameters
    ----------
    companions : receives the files that are no images, and logos beside DICOM images
    limit : of the files that are neither companions nor passed over; no further ones are read
    """
    images: list[ReadImage] = []
    refused: list[RefusedImage] = []
    unread = 0

    def within_limit() -> Iterator[SourceFile]:
        nonlocal unread
        for file in sent:
            if len(images) + len(refused) < limit:
                yield file
            else:
                unread += 1

    for found in reader.read_all(within_limit()):
        if isinstance(found, Companion):
            companions.found.append(found)
        elif isinstance(found, RefusedImage):
            refused.append(found)
        elif not passes_over(found):
            images.append(found)
    if any(image.drafted.header is not None for image in images):
        logos = [file for file in refused if file.other_picture]
        companions.found.extend(Companion(file.name, PICTURE, None, file.error) for file in logos)
        refused = [file for file in refused if not file.other_picture]
    return images, refused, unread


def _count_refused(refused: Iterable[_Unusable], user: User) -> None:
    """Count unusable files, once all are read, because a study that waits for a model is read again."""
    for file in refused:
        refused_files.count(user.name, file.error)


def _problem(file: _Unusable) -> FileProblem:
    return FileProblem(base_name(file.name), file.error.message, type(file.error))


def _reasons(refused: Iterable[_Unusable]) -> list[tuple[str, str]]:
    return [(file.name, file.error.message) for file in refused]


def _studies(images: Iterable[ReadImage]) -> set[str]:
    return {image.study.study for image in images if image.study is not None} - {""}


def check_count(count: int) -> None:
    """Raise IntakeRefused if an upload has no file or more than BIRADS_MAX_FILES."""
    if problem := _unfit_count(count, current_app.extensions["birads_settings"].max_files):
        raise IntakeRefused([FileProblem("", problem.message, type(problem))])


def _unfit_count(count: int, limit: int) -> InputError | None:
    if count == 0:
        return NoFiles(msg("no-files"))
    return TooManyFiles(msg("too-many-files", count=count, limit=limit)) if count > limit else None
