"""Grouping of the images of an upload into exams, by study."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from birads_app.deid.identity import names_an_image, patient_key
from birads_app.imaging.view_filename import from_name, without_view
from birads_app.records.identities import Identity


@dataclass(frozen=True)
class StudyKey:
    """Study, patient and date of a DICOM file.

    image_only : True if the study is that of a single image of an exam, as in CBIS-DDSM
    """

    study: str
    patient: tuple[str, ...]
    date: str
    image_only: bool = False


class Grouped(Protocol):
    """A file to be grouped; ``study`` is None for a picture, and for a DICOM file without study and patient."""

    @property
    def name(self) -> str: ...

    @property
    def study(self) -> StudyKey | None: ...


File = TypeVar("File", bound=Grouped)


def study_key(identity: Identity) -> StudyKey | None:
    """Return the key of a DICOM file, with an empty study if it states only a patient; None if it states neither."""
    if not (identity.study_uid or identity.patient_id or identity.patient_name):
        return None
    image_only = names_an_image(identity)
    return StudyKey(identity.study_uid, patient_key(identity), identity.study_date, image_only)


def by_study(files: Sequence[File]) -> list[list[File]]:
    """Group files by exam, in upload order.

    DICOM files are grouped by Study Instance UID. If each image has a study and a patient ID of its own, as in
    CBIS-DDSM, images of the same patient and date form one exam. Without a study they are grouped by patient if there
    are several. Other files are added to the only study, if there is exactly one. Without any study they are grouped by
    name if all names state side and view and some views occur twice; otherwise they form one exam.
    """
    studies: dict[str, list[File]] = {}
    for file in files:
        if file.study is not None and file.study.study:
            studies.setdefault(file.study.study, []).append(file)
    groups = list(_joined(list(studies.values())))
    if len({file.study.patient for file in files if file.study is not None}) > 1:
        _add_by_patient(groups, [file for file in files if file.study is not None and not file.study.study])
    if len(groups) == 1:
        return [list(files)]
    place = {id(file): number for number, file in enumerate(files)}
    for group in groups:
        group.sort(key=lambda file: place[id(file)])
    placed = {id(file) for group in groups for file in group}
    return groups + _by_name([file for file in files if id(file) not in placed])


def _add_by_patient(groups: list[list[File]], files: Iterable[File]) -> None:
    """Add files without a study to the only group of their patient, else to a new one."""
    new: dict[tuple[str, ...], list[File]] = {}
    for file in files:
        patient = _patient(file)
        own = [group for group in groups if _patient(group[0]) == patient]
        (own[0] if len(own) == 1 else new.setdefault(patient, [])).append(file)
    groups += new.values()


def _patient(file: Grouped) -> tuple[str, ...]:
    return () if file.study is None else file.study.patient


def _joined(studies: list[list[File]]) -> Iterator[list[File]]:
    """Merge studies of single images of the same patient and date."""
    exams: dict[object, list[File]] = {}
    for study in studies:
        key = study[0].study
        assert key is not None
        single = len(study) == 1 and key.image_only
        exams.setdefault((key.patient, key.date) if single else key.study, []).extend(study)
    yield from exams.values()


def _by_name(files: list[File]) -> list[list[File]]:
    views = [from_name(file.name) for file in files]
    if not files or not all(side and view for side, view in views) or len(set(views)) == len(views):
        return [files] if files else []
    exams: dict[tuple[str, ...], list[File]] = {}
    for file in files:
        exams.setdefault(without_view(file.name), []).append(file)
    return list(exams.values())
