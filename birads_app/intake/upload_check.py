"""Check of an upload by the beginnings of its files, before they are sent as a whole.

Names wrong files, groups the others into exams, finds studies that are stored already, and tells which images state no
side or view. Nothing is stored and nothing logged. What the beginnings leave open is left to the reading.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flask import current_app

from birads_app.compute.pool import ComputePool
from birads_app.compute.turns import Urgency
from birads_app.deid.identity import read_identity
from birads_app.deid.pseudonyms import site_pseudonyms
from birads_app.imaging.decode import damage_named
from birads_app.imaging.dicom import object_outline, parser
from birads_app.imaging.dicom.view import view_of
from birads_app.imaging.file_signatures import ARCHIVE, GZIP, TAR, ZIP, recognise
from birads_app.imaging.source_file import SourceFile
from birads_app.imaging.view_filename import from_name
from birads_app.intake.companions import companion_of, kind_of_head
from birads_app.intake.draft_exam import deidentifies
from birads_app.intake.repetition import stored_exam_of
from birads_app.intake.study_grouping import StudyKey, by_study, study_key
from birads_app.records.identities import Identity
from birads_app.records.schema import Exam
from birads_app.terms.errors import InputError, ModelError
from birads_app.terms.messages import Message
from birads_app.terms.views import ViewRole

BEGINNING = 1 << 16  # bytes of each file: the header of nearly all, with side, view and study
FILES_MAX = 600


@dataclass(frozen=True)
class CheckedFile:
    """Facts from the beginning of a file.

    problem : why the file will be refused; None if it may be used
    skipped : kind of a file that is no image and is skipped beside images; None for others
    archive : True if the images are within it
    laterality, view : as the header or the name states them; None if unknown
    without_view : True for an image that states no side or no view
    identity : from the header, empty of what lies beyond the beginning; None for other files
    sop_uid : of a DICOM image; "" if unknown
    """

    name: str
    problem: Message | None = None
    skipped: Message | None = None
    archive: bool = False
    laterality: str | None = None
    view: str | None = None
    without_view: bool = False
    identity: Identity | None = field(default=None, repr=False)
    sop_uid: str = ""

    @property
    def study(self) -> StudyKey | None:
        """Key for grouping, as of :class:`birads_app.intake.image_reading.ReadImage`."""
        return None if self.identity is None else study_key(self.identity)


@dataclass(frozen=True)
class PlannedExam:
    """Files, by their numbers, that are sent together and become an exam, or several if they are archives.

    stored : the exam that has these images already, read by the same model; None if there is none
    """

    files: tuple[int, ...]
    stored: Exam | None


def check(beginnings: Iterable[tuple[SourceFile, int]]) -> list[CheckedFile]:
    """Check files by their beginnings, each in a process of its own; with the size of each whole file in bytes."""
    compute: ComputePool = current_app.extensions["birads_compute"]
    checked = []
    for file, size in beginnings:
        try:
            checked.append(compute.run(check_beginning, file, size, urgency=Urgency.READER))
        except InputError:  # the process has ended; reading tells more
            checked.append(CheckedFile(file.name))
    return checked


def check_beginning(file: SourceFile, size: int) -> CheckedFile:
    """Check the beginning of a file of so many bytes."""
    kind = kind_of_head(file.name, file.head)
    if kind in (None, ARCHIVE) and recognise(file.head) in (ZIP, TAR, GZIP):
        return CheckedFile(file.name, archive=True)
    if kind is not None:
        return CheckedFile(file.name, skipped=kind)
    try:
        is_dicom = file.format == "DICOM"
    except InputError as error:
        return CheckedFile(file.name, problem=_message(error))
    if is_dicom:
        return _check_dicom(file, whole=len(file.content) >= size)
    return _image(file.name, *from_name(file.name))


def plan(files: Sequence[CheckedFile]) -> list[PlannedExam]:
    """Group files into what is sent together: each exam by itself, but all at once if there is an archive.

    Files with a problem are in none. Skipped files go with the exam of their study, else with the first one.
    """
    usable = [file for file in files if file.problem is None]
    images = [file for file in usable if file.skipped is None and not file.archive]
    if not images or any(file.archive for file in usable):
        groups = [usable] if usable else []
    else:
        groups = by_study(images)
        for file in (file for file in usable if file.skipped is not None):
            _exam_of(file, groups).append(file)
    number = {id(file): place for place, file in enumerate(files)}
    return [
        PlannedExam(tuple(sorted(number[id(file)] for file in group)), _stored(group)) for group in groups
    ]


def _exam_of(file: CheckedFile, groups: Sequence[list[CheckedFile]]) -> list[CheckedFile]:
    """Return the group of a file's study, else the first one."""
    study = file.identity.study_uid if file.identity is not None else ""
    own = (group for group in groups if any(_study_uid(one) == study for one in group))
    return next(own, groups[0]) if study else groups[0]


def _study_uid(file: CheckedFile) -> str:
    return file.identity.study_uid if file.identity is not None else ""


def _stored(group: Sequence[CheckedFile]) -> Exam | None:
    """Return the exam that has all images of a group; None if there is none, or if that cannot be told."""
    images = [file for file in group if file.skipped is None]
    if not images or any(not file.sop_uid for file in images):
        return None
    try:
        model: str = current_app.extensions["birads_models"].get().bundle.name
    except ModelError:
        return None
    uids, study = {file.sop_uid for file in images}, _study_uid(images[0])
    if deidentifies():
        pseudonyms = site_pseudonyms()
        uids, study = set(map(pseudonyms.uid, uids)), pseudonyms.uid(study) if study else ""
    return stored_exam_of(study, uids, model) if study else None


def _check_dicom(file: SourceFile, whole: bool) -> CheckedFile:
    try:
        with damage_named():
            parsed = parser.parse(file.data)
            if not whole and parsed.first_pixels is None:
                return _outline(file)
    except InputError as error:
        return CheckedFile(file.name, problem=_message(error)) if whole else _outline(file)
    identity = read_identity(parsed.dataset)
    if companion := companion_of(file):
        return CheckedFile(file.name, skipped=companion.kind, identity=identity)
    try:
        with damage_named():
            parser.require_image(parsed)
            stated = view_of(parsed.dataset)
    except InputError as error:
        return CheckedFile(file.name, problem=_message(error), identity=identity)
    side, projection = from_name(file.name)
    laterality = stated.laterality or (None if stated.laterality_stated else side)
    view = stated.view or (None if stated.view_stated else projection)
    uid = parser.text(parsed.dataset, "SOPInstanceUID")
    return _image(file.name, laterality, view, stated.role is ViewRole.OTHER, identity, uid)


def _outline(file: SourceFile) -> CheckedFile:
    """Return what the elements up to the study's UID tell, because the header is longer than the beginning."""
    try:
        with damage_named():
            dataset = object_outline.read_beginning(file.data)
    except InputError:
        return CheckedFile(file.name)
    return CheckedFile(file.name, identity=read_identity(dataset), sop_uid=object_outline.uids(dataset)[1])


def _image(
    name: str,
    laterality: str | None,
    view: str | None,
    other: bool = False,
    identity: Identity | None = None,
    sop_uid: str = "",
) -> CheckedFile:
    """Return an image; ``other`` if it is known to be no view of a breast."""
    lacks = not (laterality and view) and not other
    return CheckedFile(
        name, laterality=laterality, view=view, without_view=lacks, identity=identity, sop_uid=sop_uid
    )


def _message(error: InputError) -> Message:
    assert isinstance(error.message, Message)
    return error.message
