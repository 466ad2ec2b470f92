"""Answer to an upload that another process has read: the exams, or the error that reading here would have raised.

It is kept as the upload was, encrypted, because it has names of files.
"""

import json
from collections.abc import Iterable
from typing import Any

from birads_app.intake.ingest import FileProblem, IntakeRefused
from birads_app.records import exams
from birads_app.records.message_columns import packed, unpacked
from birads_app.records.schema import Exam
from birads_app.terms.errors import BiradsError


class UploadFailed(RuntimeError):
    """The process that read the upload failed for a reason that its log has."""


def of_exams(stored: Iterable[Exam]) -> str:
    """Return the answer with the exams of an upload, which know the names of their files as sent."""
    return json.dumps(
        {
            "exams": [
                {
                    "id": exam.id,
                    "already_stored": exam.already_stored,
                    "names": {image.id: image.sent_name for image in exam.images},
                }
                for exam in stored
            ]
        }
    )


def of_error(error: Exception) -> str:
    """Return the answer with the error of an upload."""
    if isinstance(error, IntakeRefused):
        problems = [
            {"file": one.filename, "message": packed(one.message), "kind": one.kind.__name__}
            for one in error.problems
        ]
        return json.dumps({"problems": problems})
    if isinstance(error, BiradsError):
        return json.dumps({"kind": type(error).__name__, "message": packed(error.message)})
    if isinstance(error, OSError) and error.errno is not None:
        return json.dumps({"errno": error.errno})
    return json.dumps({})


def read(text: str) -> list[Exam]:
    """Return the exams of an answer; raise its error, or UploadFailed for one that is no domain error."""
    answer: dict[str, Any] = json.loads(text)
    if "exams" in answer:
        return [_exam(one) for one in answer["exams"]]
    if "problems" in answer:
        raise IntakeRefused(
            [
                FileProblem(one["file"], unpacked(one["message"]), _kind(one["kind"]))
                for one in answer["problems"]
            ]
        )
    if "kind" in answer:
        error = _kind(answer["kind"]).__new__(_kind(answer["kind"]))
        BiradsError.__init__(error, unpacked(answer["message"]))
        raise error
    if "errno" in answer:
        raise OSError(answer["errno"], "in another process")
    raise UploadFailed("The process that read the upload failed; see its log.")


def _exam(stored: dict[str, Any]) -> Exam:
    exam = exams.get(stored["id"])
    exam.already_stored = stored["already_stored"]
    for image in exam.images:
        image.sent_name = stored["names"].get(image.id, "")
    return exam


def _kind(name: str) -> type[BiradsError]:
    """Return the class of domain errors with a name; their root for one that another version has."""
    waiting: list[type[BiradsError]] = [BiradsError]
    while waiting:
        kind = waiting.pop()
        if kind.__name__ == name:
            return kind
        waiting += kind.__subclasses__()
    return BiradsError
