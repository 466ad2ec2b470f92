"""DICOM objects of an exam as a ZIP archive, in the study of the stored files."""

import io
import zipfile
from collections.abc import Iterator

from flask import current_app
from pydicom.dataset import Dataset

from birads_app.model.bundles import version
from birads_app.pacs.results import as_stored, objects_of, report_of
from birads_app.records import assessments, outbox
from birads_app.records.schema import Exam


def pack(exam: Exam) -> bytes:
    """Return a ZIP of the AI report, its images, and every signed report.

    The objects belong to the study of the stored files, whose headers contain the pseudonym if they are de-identified;
    objects sent to the PACS belong to the patient's original study. Raises NoStudy if the files name no study.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:  # the pictures are compressed already
        for name, made in _objects(exam):
            with archive.open(f"{name}.dcm", "w") as entry:
                encoded = io.BytesIO()
                made.save_as(encoded, enforce_file_format=True)
                entry.write(encoded.getvalue())
    return stream.getvalue()


def _objects(exam: Exam) -> Iterator[tuple[str, Dataset]]:
    """Yield names and objects."""
    models = current_app.extensions["birads_settings"].models
    identity, model = as_stored(exam), outbox.model_version(exam) or version(models, exam.model)
    results, *pictures = objects_of(exam, model, identity)
    yield "model-report", results
    for number, picture in enumerate(pictures, start=1):
        yield f"model-picture-{number}", picture
    signed = [one for one in reversed(assessments.history(exam)) if one.signed]
    for number, assessment in enumerate(signed, start=1):
        yield f"report-{number}", report_of(exam, model, assessment, identity)
