"""A fetch of several studies goes on after a failure and never makes an exam of half a study."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.dicom_objects.context import PRODUCT
from birads_app.pacs import worker
from birads_app.records import audit_log, fetch_problems, spool, worklist
from birads_app.records.schema import Role
from tests.pacs.test_spool import mammogram
from tests.support.dicomweb_archive import Archive
from tests.support.factories import make_user, sign_in
from tests.support.http_server import http_server

STUDIES = [f"1.2.826.0.1.{number}" for number in range(1, 6)]
DAYS = ["dicom", "fetch", "--from", "2026-01-01", "--to", "2026-01-31"]


@pytest.fixture
def archive(serving_app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """Five studies of two images each, on a server that the application fetches from."""
    views = [("L", "CC"), ("R", "CC")]
    made = Archive(
        {
            study: dict(
                mammogram(study, seed, ImageLaterality=side, ViewPosition=view, PatientID=study[-1])
                for seed, (side, view) in enumerate(views)
            )
            for study in STUDIES
        }
    )

    with http_server(lambda path, _: made.answer(path)) as url:
        address = {"pacs_dicomweb_url": url}
        settings = serving_app.extensions["birads_settings"].model_copy(update=address)
        monkeypatch.setitem(serving_app.extensions, "birads_settings", settings)
        monkeypatch.setattr(worker, "deliver", lambda: None)
        yield made


def images(app: Flask) -> list[int]:
    with app.app_context():
        return [len(exam.images) for exam in worklist.page(worklist.Query(list="all")).items]


def test_one_missing_object_leaves_its_study_out_until_the_next_fetch(
    archive: Archive, serving_app: Flask, runner: FlaskCliRunner, caplog: pytest.LogCaptureFixture
) -> None:
    missing = list(archive.objects[STUDIES[1]])[1]
    archive.failing[missing] = 404
    done = runner.invoke(args=DAYS)
    assert done.exit_code == 1, done.output
    assert f"Study {STUDIES[1]} (2 of 5) is incomplete: Object 2 of 2 was not received" in done.output
    assert "lists an object that it does not return (HTTP status 404)" in done.output
    assert "Images fetched: 8." in done.output and "Studies that were not fetched: 1 of 5." in done.output
    assert images(serving_app) == [2, 2, 2, 2]
    assert "Study 2 of 5 was not fetched" in caplog.text
    assert not any(study in caplog.text for study in STUDIES) and missing not in done.output
    with serving_app.app_context():
        assert spool.of_app().studies() == 0
        (problem,) = fetch_problems.listing()
        assert problem.study_uid.startswith("2.25.") and "HTTP status 404" in problem.reason
        (entry,) = [entry for entry in audit_log.newest() if entry.action == "leave out study"]
        assert entry.subject == problem.study_uid and "404" in entry.detail
        shown = runner.invoke(args=["dicom", "status"]).output
        assert f"Study {problem.study_uid} was not fetched" in shown and "HTTP status 404" in shown
    make_user(serving_app, "anna", Role.ADMIN)
    client = serving_app.test_client()
    sign_in(client, "anna")
    page = client.get("/admin/network").text
    assert problem.study_uid in page and "Object 2 of 2 was not received" in page and STUDIES[1] not in page

    archive.failing.clear()
    archive.asked.clear()
    again = runner.invoke(args=DAYS)
    assert again.exit_code == 0 and "Images fetched: 2." in again.output
    assert images(serving_app) == [2] * 5
    assert set(archive.objects[STUDIES[1]]) <= set(archive.asked)  # whole
    with serving_app.app_context():
        assert not fetch_problems.listing()
    assert "Object 2 of 2" not in client.get("/admin/network").text


@pytest.mark.parametrize(
    ("status", "said"), [(500, "HTTP status 500"), (401, "HTTP status 401"), (410, "410")]
)
def test_the_reason_is_the_real_one(
    archive: Archive, serving_app: Flask, runner: FlaskCliRunner, status: int, said: str
) -> None:
    archive.failing[next(iter(archive.objects[STUDIES[0]]))] = status
    archive.failing[f"list {STUDIES[4]}"] = 500
    done = runner.invoke(args=DAYS)
    assert done.exit_code == 1 and said in done.output and "not fetched: 2 of 5." in done.output
    assert images(serving_app) == [2, 2, 2]


def test_an_object_that_is_none_leaves_its_study_out(
    archive: Archive, serving_app: Flask, runner: FlaskCliRunner
) -> None:
    archive.objects[STUDIES[2]][list(archive.objects[STUDIES[2]])[1]] = b"no DICOM"
    done = runner.invoke(args=DAYS)
    assert done.exit_code == 1 and "(3 of 5) is incomplete: Object 2 of 2" in done.output
    assert images(serving_app) == [2] * 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda study, other: {study[1]: study[0]}, "returned another object"),
        (lambda study, other: {study[1]: other[1]}, "returned another object"),
        (lambda study, other: {study[1]: study[1][:-50_000]}, "returned an object that is cut off"),
        (lambda study, other: {study[1]: study[1][:300]}, "returned an object that is cut off"),
    ],
    ids=["the same object again", "an object of another study", "cut off", "cut off in the header"],
)
def test_another_object_or_half_of_one_leaves_its_study_out(
    archive: Archive,
    serving_app: Flask,
    runner: FlaskCliRunner,
    change: Callable[[list[bytes], list[bytes]], dict[bytes, bytes]],
    said: str,
) -> None:
    first, second = (list(archive.objects[study].values()) for study in STUDIES[1:3])
    changed = change(first, second)
    for uid, data in archive.objects[STUDIES[1]].items():
        archive.objects[STUDIES[1]][uid] = changed.get(data, data)
    done = runner.invoke(args=DAYS)
    assert done.exit_code == 1 and said in done.output and "not fetched: 1 of 5." in done.output
    assert images(serving_app) == [2] * 4


def test_a_study_of_which_the_server_lists_nothing_is_named(
    archive: Archive, serving_app: Flask, runner: FlaskCliRunner
) -> None:
    archive.objects[STUDIES[3]].clear()
    done = runner.invoke(args=DAYS)
    assert done.exit_code == 1 and "lists no object of the study" in done.output
    assert images(serving_app) == [2] * 4


def test_own_results_in_a_study_are_not_counted_as_images(
    archive: Archive, serving_app: Flask, runner: FlaskCliRunner
) -> None:
    runner.invoke(args=DAYS)
    sop_uid, capture = mammogram(STUDIES[2], 99, Manufacturer=PRODUCT)
    archive.objects[STUDIES[2]][sop_uid] = capture
    again = runner.invoke(args=DAYS)
    assert again.exit_code == 0 and "with new images: 0 of 5. Images fetched: 0." in again.output
    assert sop_uid in archive.asked and images(serving_app) == [2] * 5


def test_a_study_that_arrives_meanwhile_gets_the_fetched_objects(serving_app: Flask) -> None:
    with serving_app.app_context():
        first, second, third = (mammogram(seed=seed) for seed in range(3))
        spool.of_app().add("1.2.3", *first)

        def interrupted() -> Iterator[tuple[str, bytes]]:
            yield second
            raise OSError("Connection lost")

        with pytest.raises(OSError, match="lost"):
            spool.of_app().add_all("1.2.3", interrupted())
        assert spool.of_app().add_all("1.2.3", iter([third])) == 1
        assert spool.of_app().add_all("1.2.3", iter([])) == 0
        worker.ingest_stable_studies(0)
    assert images(serving_app) == [2]
