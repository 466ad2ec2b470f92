"""Images and studies that come again: used once, recognised, and linked."""

import io

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydicom import dcmread
from pydicom.uid import RLELossless

from birads_app.pacs import worker
from birads_app.records import database, exams, tokens, users, worklist
from birads_app.records.related_exams import related as related_exams
from birads_app.records.schema import Exam
from tests.intake.test_companions import STUDY, view, views
from tests.pacs.test_spool import arrive, mammogram
from tests.support import dicom_files
from tests.support.factories import bearer, breast, make_user, mammogram_png, post_files, sign_in

NOTE = "Received more than once and used once: {}."


def compressed(data: bytes) -> bytes:
    made = dcmread(io.BytesIO(data))
    made.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    stream = io.BytesIO()
    made.save_as(stream)
    return stream.getvalue()


def test_the_same_image_counts_once(serving_app: Flask, client: FlaskClient, token: str) -> None:
    again = [("copy", view(0)), ("compressed", compressed(view(1)))]
    answer = post_files(client, token, *views(), *again)
    assert answer.status_code == 201
    assert [image["file"] for image in answer.json["images"]] == ["IM0", "IM1", "IM2", "IM3"]
    assert answer.json["notes"] == [NOTE.format(2)]
    assert answer.json["objects"] == {"received": 4, "used": 4, "left_out": []}


def test_the_same_picture_counts_once(serving_app: Flask, client: FlaskClient, token: str) -> None:
    sent = [("a.png", mammogram_png(1)), ("b.png", mammogram_png(2)), ("c.png", mammogram_png(1))]
    answer = post_files(client, token, *sent).json
    assert [image["file"] for image in answer["images"]] == ["a.png", "b.png"]
    assert answer["notes"] == [NOTE.format(1)]


def test_different_images_under_one_uid_are_both_used(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    def of(seed: int, **elements: object) -> bytes:
        return dicom_files.mammogram(breast(320, 256, seed), StudyInstanceUID=STUDY, **elements)

    sent = [("a", of(1)), ("b", of(2)), ("c", of(1, PatientID="B")), ("d", of(1, ImageLaterality="R"))]
    answer = post_files(client, token, *sent).json
    assert len(answer["images"]) == 4
    assert answer["attention"][-1] == (
        "Different images with the same SOP Instance UID: 4. All are used; check the exporting system."
    )


def test_received_images_under_one_uid_are_both_used(serving_app: Flask) -> None:
    with serving_app.app_context():
        (_, data), (_, other) = (
            mammogram(seed=1, SOPInstanceUID="1.5"),
            mammogram(seed=2, SOPInstanceUID="1.5"),
        )
        arrive(("1.5", data), ("1.5", other), ("1.5", data))
        worker.ingest_stable_studies(0)
        (exam,) = worklist.page(worklist.Query(list="all")).items
        assert len(exam.images) == 2 and [reason.code for reason in exam.attention] == ["uid-shared"]


def test_a_received_image_that_has_changed_is_a_further_exam(serving_app: Flask) -> None:
    with serving_app.app_context():
        for seed, patient in ((1, "A"), (1, "A"), (2, "A"), (2, "B")):
            _, data = mammogram(seed=seed, SOPInstanceUID="1.5", PatientID=patient)
            arrive(("1.5", data))
            worker.ingest_stable_studies(0)
        found = worklist.page(worklist.Query(list="all")).items
        assert [len(exam.images) for exam in found] == [1, 1, 1]
        assert {other.relation for other in related_exams(found[0])} == {"changed"}
        assert found[0].attention[0].code == "patients-contradictory"


def test_a_received_object_counts_once(serving_app: Flask) -> None:
    with serving_app.app_context():
        uid, data = mammogram(seed=1)
        arrive((uid, data), (f"{uid}.1", data), mammogram(seed=2))
        worker.ingest_stable_studies(0)
        (exam,) = worklist.page(worklist.Query(list="all")).items
        assert (len(exam.images), exam.notes, exam.attention) == (2, [NOTE.format(1)], [])


@pytest.fixture
def reader(client: FlaskClient, token: str) -> FlaskClient:
    """A signed-in browser."""
    sign_in(client, "robot")
    return client


def upload(reader: FlaskClient, *files: tuple[str, bytes]) -> str:
    data = {"files": [(io.BytesIO(content), name) for name, content in files]}
    answer = reader.post("/upload", data=data, content_type="multipart/form-data")
    assert answer.status_code == 303, answer.text
    return answer.location


def count(app: Flask) -> int:
    with app.app_context():
        return len(exams.all_ids())


def test_a_study_uploaded_again_leads_to_its_exam(serving_app: Flask, reader: FlaskClient) -> None:
    first = upload(reader, *views())
    for again in (views(), views()[::-1], views()[:2], [("x", compressed(view(2)))]):
        address = upload(reader, *again)
        assert address == f"{first}?known=1" and "already stored" in reader.get(address).text
    assert count(serving_app) == 1 and "already stored" not in reader.get(first).text
    address = upload(reader, *views(), *views("1.2.4"))
    assert "taken=1&known=1" in address
    assert "1 exam added. 1 exam is already stored." in " ".join(reader.get(address).text.split())
    assert count(serving_app) == 2


def test_a_study_read_by_another_model_is_read_again(serving_app: Flask, reader: FlaskClient) -> None:
    first = upload(reader, *views())
    with serving_app.app_context(), database.writing() as current:
        current.get(Exam, first.rsplit("/", 1)[-1]).model = "former"
    assert upload(reader, *views()) != f"{first}?known=1" and count(serving_app) == 2


@pytest.mark.parametrize(
    ("first", "second", "forth", "back"),
    [
        (views()[:2], views(), "more", "fewer"),
        (views()[:2], views()[2:], "other", "other"),
        (views(), [*views()[:3], ("IM3", compressed(view(3)).replace(b"A ", b"B "))], "changed", "changed"),
        (views(), views(), "same", "same"),
    ],
)
def test_exams_of_one_study_know_each_other(
    serving_app: Flask,
    client: FlaskClient,
    token: str,
    first: list[tuple[str, bytes]],
    second: list[tuple[str, bytes]],
    forth: str,
    back: str,
) -> None:
    one = post_files(client, token, *first).json
    assert one["related"] == []
    other = post_files(client, token, *second).json
    assert other["related"] == [
        {"id": one["id"], "url": f"/api/v1/predictions/{one['id']}", "relation": back}
    ]
    headers = {"Authorization": f"Bearer {token}"}
    (related,) = client.get(f"/api/v1/predictions/{one['id']}", headers=headers).json["related"]
    assert (related["id"], related["relation"]) == (other["id"], forth)
    sign_in(client, "robot")
    assert f'href="/exams/{other["id"]}"' in client.get(f"/exams/{one['id']}").text


def test_a_token_that_may_only_upload_is_told_of_its_own_exams(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    make_user(serving_app, "modality")
    with serving_app.app_context():
        uploading = tokens.create(users.by_name("modality"), scopes=("upload",))
    theirs = post_files(client, token, *views()[:2]).json
    first = post_files(client, uploading, *views()[2:]).json
    second = post_files(client, uploading, *views()).json
    assert first["related"] == []
    assert [one["id"] for one in second["related"]] == [first["id"]]
    found = client.get(f"/api/v1/predictions/{theirs['id']}", headers=bearer(token)).json
    assert {one["id"] for one in found["related"]} == {first["id"], second["id"]}
