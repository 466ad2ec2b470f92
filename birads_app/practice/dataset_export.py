"""Export of assessed exams as a training set for ``flask train --data``: images, and ``labels.csv``.

An image's label is the reader's category for its breast. Images are exported as stored if they are de-identified, and
are de-identified during the export otherwise.
"""

import csv
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from birads_app.deid.prepare import prepare
from birads_app.deid.pseudonyms import site_pseudonyms
from birads_app.imaging.dicom import parser
from birads_app.imaging.source_file import SourceFile
from birads_app.records import audit_log, exams
from birads_app.records.errors import NotFound
from birads_app.records.schema import Assessment, Exam, Image
from birads_app.terms.errors import BiradsError, InputError
from birads_app.terms.hanging import hanging
from birads_app.terms.messages import msg

TABLE = "labels.csv"
_COLUMNS = ("path", "birads", "patient", "view", "side", "density")


class ExportRefused(BiradsError):
    """The exams cannot be exported into the folder."""


@dataclass(frozen=True)
class ExportSummary:
    """Result of an export.

    categories : images by the reader's category, subdivisions of 4 together
    left_out : images that were not exported, by reason
    """

    exams: int
    patients: int
    categories: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def export_dataset(
    folder: Path, assessments: Sequence[Assessment], who: str, progress: Callable[[], None]
) -> ExportSummary:
    """Export the images of assessed exams with their labels: the complete folder, or nothing.

    Parameters
    ----------
    folder : new or empty
    assessments : one for each exam
    who : name for the audit log
    progress : called after each exam

    Raises
    ------
    ExportRefused
        The folder is not empty, cannot be written, or no image has a label.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportRefused(msg("export-folder-not-empty", folder=str(folder)))
    draft = folder.with_name(f".{folder.name}.draft")
    try:
        shutil.rmtree(draft, ignore_errors=True)  # of an interrupted export
        draft.mkdir(parents=True)
        counts = _write(draft, assessments, progress)
        if not counts.categories:
            raise ExportRefused(msg("export-no-labels"))
        draft.rename(folder)
    except OSError as error:
        raise ExportRefused(
            msg(
                "export-folder-unwritable",
                folder=str(folder),
                reason=str(error.strerror),
            )
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    audit_log.log(who, "export data set", str(counts.exams))
    return counts


def label(assessment: Assessment, laterality: str | None) -> str | None:
    """Return the reader's category for an image's breast, such as ``4A``; None if ambiguous.

    An image of unknown side has a label if no breast was given another category than the whole exam.
    """
    breasts = {"R": assessment.right, "L": assessment.left}
    if laterality in breasts:
        return breasts[laterality]
    certain = {*breasts.values()} <= {None, assessment.overall}
    return (assessment.overall or None) if certain else None


def _write(draft: Path, assessments: Sequence[Assessment], progress: Callable[[], None]) -> ExportSummary:
    read, categories, left_out = 0, Counter[str](), Counter[str]()
    patients: set[str] = set()
    with (draft / TABLE).open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(_COLUMNS)
        for assessment in assessments:
            with suppress(NotFound):  # deleted meanwhile
                exam = exams.get(assessment.exam_id)
                rows = list(_images(draft, exam, assessment, left_out))
                table.writerows(rows)
                categories.update(row[1][0] for row in rows)
                patients.update(row[2] for row in rows)
                read += bool(rows)
            progress()
    return ExportSummary(read, len(patients), categories, left_out)


def _images(draft: Path, exam: Exam, assessment: Assessment, left_out: Counter[str]) -> list[tuple[str, ...]]:
    """Write an exam's images; return their rows of the table."""
    rows: list[tuple[str, ...]] = []
    patient = exam.pseudonym or f"exam-{exam.id}"
    for number, image in enumerate(hanging(exam.images), 1):
        birads = label(assessment, image.laterality)
        if birads is None or not image.standard:
            left_out["without a label" if image.standard else "special views"] += 1
            continue
        try:
            name, data = _anonymous(exam, image)
        except (NotFound, InputError):
            left_out["unreadable"] += 1
            continue
        path = Path("images", exam.id, f"{number}{name}")
        (draft / path).parent.mkdir(parents=True, exist_ok=True)
        (draft / path).write_bytes(data)
        rows.append(
            (
                path.as_posix(),
                birads,
                patient,
                image.view or "",
                image.laterality or "",
                assessment.density or "",
            )
        )
    return rows


def _anonymous(exam: Exam, image: Image) -> tuple[str, bytes]:
    """Return the suffix and the de-identified bytes of an image's file."""
    path = exams.file(image, "original")
    data = path.read_bytes()
    if image.source == "DICOM":
        header = parser.parse(data).dataset
        removed = parser.text(header, "PatientIdentityRemoved") == "YES"
        if removed and parser.text(header, "PatientID") == exam.pseudonym:
            return path.suffix, data
    pseudonyms = site_pseudonyms()
    suffix = path.suffix if image.source == "DICOM" else ".png"
    return suffix, prepare(SourceFile("", data), pseudonyms).data
