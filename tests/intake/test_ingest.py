"""Intake: from the bytes of an upload to a stored exam."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from birads_app.imaging.source_file import SourceFile
from birads_app.intake.draft_exam import base_name
from birads_app.intake.ingest import FileProblem, IntakeRefused, ingest_received, ingest_studies
from birads_app.records import exams, files, refused_files
from birads_app.records.schema import Exam, User
from birads_app.terms.errors import (
    BiradsError,
    EmptyFile,
    ModelError,
    NoModel,
    NotAMammogram,
    UnsupportedFormat,
)
from birads_app.web.http_status import status_of, status_of_class
from tests.support.factories import colour_photograph, mammogram_png


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("left cc.dcm", "left cc.dcm"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\left.dcm", "left.dcm"),
        ("a\r\nSet-Cookie: x\0.png", "aSet-Cookie: x.png"),
        ("gnp.\u202etfel", "gnp.tfel"),
        ("Mammographie_früh.png", "Mammographie_früh.png"),
        ("", "unnamed"),
        ("folder/", "unnamed"),
        ("x" * 5000, "x" * 200),
    ],
)
def test_file_names_are_reduced_to_printable_base_names(given: str, kept: str) -> None:
    assert base_name(given) == kept


def test_an_exam_without_files_is_refused(serving_app: Flask, reader: User) -> None:
    with serving_app.app_context(), pytest.raises(IntakeRefused) as refused:
        ingest_studies(iter([]), reader)
    assert status_of(refused.value) == 400


def test_problems_with_different_statuses_give_status_422() -> None:
    both = [FileProblem("a", "is empty.", EmptyFile), FileProblem("b", "is a text.", UnsupportedFormat)]
    assert status_of(IntakeRefused(both)) == 422
    assert status_of(IntakeRefused(both[1:])) == 415
    assert str(IntakeRefused(both)) == "a: is empty.\nb: is a text."


def test_a_disk_failure_leaves_no_files(
    serving_app: Flask, reader: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "publish", fail)
    with serving_app.app_context():
        with pytest.raises(OSError, match="No space"):
            ingest_studies([SourceFile("a.png", mammogram_png())], reader)
        assert len(exams.all_ids()) == 0
        assert list(files.root().iterdir()) == []


def test_a_database_failure_leaves_no_files(
    serving_app: Flask, reader: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = files.publish

    def publish_then_fail(*given: object) -> None:
        publish(*given)  # type: ignore[arg-type]
        raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    monkeypatch.setattr(files, "publish", publish_then_fail)
    with serving_app.app_context():
        with pytest.raises(OperationalError):
            ingest_studies([SourceFile("a.png", mammogram_png())], reader)
        assert len(exams.all_ids()) == 0
        assert list(files.root().iterdir()) == []


UNUSABLE = {"empty.dcm": b"", "photograph.jpg": colour_photograph(), "damaged.png": mammogram_png()[:200]}


def test_unusable_files_are_refused_with_their_reasons_without_a_model(app: Flask, reader: User) -> None:
    with app.app_context():
        with pytest.raises(IntakeRefused) as refused:
            ingest_studies([SourceFile(*file) for file in UNUSABLE.items()], reader)
        kinds = {problem.filename: problem.kind for problem in refused.value.problems}
        assert kinds["photograph.jpg"] is NotAMammogram
        assert set(UNUSABLE) == set(kinds) and not any(
            issubclass(kind, ModelError) for kind in kinds.values()
        )


def received(sent: list[SourceFile], user: User) -> Exam | None:
    return ingest_received(sent, user, "0" * 32)


@pytest.mark.parametrize("ingest", [received, ingest_studies])
def test_a_usable_image_needs_a_model_and_nothing_is_counted_before_there_is_one(
    app: Flask, reader: User, ingest: Callable[[list[SourceFile], User], object]
) -> None:
    sent = [SourceFile("photograph.jpg", colour_photograph()), SourceFile("a.png", mammogram_png())]
    with app.app_context():
        with pytest.raises(NoModel):
            ingest(sent, reader)
        assert refused_files.by_reason() == {}


def test_every_domain_error_has_a_status() -> None:
    def descend(kind: type[BiradsError]) -> list[type[BiradsError]]:
        return [kind, *(deeper for child in kind.__subclasses__() for deeper in descend(child))]

    statuses = {kind.__name__: status_of_class(kind) for kind in descend(BiradsError)[1:]}
    assert statuses["UnsupportedFormat"] == 415
    assert statuses["NoModel"] == statuses["BundleError"] == 503
    assert {statuses[name] for name in ("UnreadableImage", "NotAMammogram")} == {422}
