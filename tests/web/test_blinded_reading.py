"""With BIRADS_SHOW_OPINION=0 nothing tells a reader the model's category before she asks for it or signs."""

import csv
import io
import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.marks import Mark
from birads_app.records import assessments, audit_log, blinding, exams, files, summary, tokens, users
from birads_app.records.assessments import Draft
from birads_app.records.database import writing
from birads_app.records.schema import Exam, Image, Role
from birads_app.terms.categories import CATEGORIES
from tests.support import servers
from tests.support.factories import bearer, breast, make_user, sign_in

CODES = ("1", "2", "3", "4", "5")
EXAM = f"{0:032x}"
URL = f"/exams/{EXAM}"
SIGN = {"category-R": "1", "category-L": "2", "action": "sign"}
# Routes that show the reader herself or the state of the server.
OWN = {"own_account.page", "second_factor.page", "health.ready", "health.alive", "monitoring.metrics"}
# Addresses that answer with something about the exam, and those that tell an auditor its result.
READ_BLINDED = {
    *("/", "/practice/", "/practice/exams.csv", "/practice/figures.csv", "/api/v1/exams"),
    *(URL, f"{URL}/report", f"{URL}/report.pdf", f"{URL}/report.json", f"{URL}/report.fhir"),
    *(f"/api/v1/predictions/{EXAM}", f"{URL}/report?ai_marks=1", f"{URL}/report.pdf?ai_marks=1"),
}
OPEN = READ_BLINDED - {f"{URL}/report.fhir"}
OF_REQUEST = re.compile(
    r'(?<=name="csrf_token" value=")[^"]+|(?<=data-token=")[^"]+|\d+ minutes? ago|just now'
    r"|(?<=:\d\d)\.\d+"  # fractions of a second, which may look like a probability
)


@pytest.fixture
def blind(app: Flask) -> Flask:
    """An application for blinded reading, with two exams that the model has read."""
    settings = app.extensions["birads_settings"]
    app.extensions["birads_settings"] = settings.model_copy(update={"show_opinion": False})
    make_user(app)
    with app.app_context():
        for number in (0, 1):
            _store(number)
    predict(app, "1")
    return app


def _store(number: int) -> None:
    reader = users.by_name("reader")
    exam = Exam(id=f"{number:032x}", uploader_id=reader.id, model="m", demonstration=True, pooling="mean")
    draft = files.open_draft()
    for position, side in enumerate("RL"):
        image = Image(
            role="standard", id=f"{number:030x}{position:02x}", position=position, filename="a.png", source="PNG",
            prediction=ImagePrediction("3", {"3": 1.0}), width=160, height=200, laterality=side, view="CC",
        )  # fmt: skip
        exam.images.append(image)
        files.write_original(draft / image.id, "PNG", (b"the original",))
        files.write_previews(draft / image.id, files.reduced(breast(200, 160), files.DISPLAY_MAX))
    exams.store(exam, draft, reader)


def predict(app: Flask, category: str) -> None:
    """Replace the AI result of the first exam, also in assessments; the other one keeps BI-RADS 3."""
    probabilities = {code: 0.8 if code == category else 0.05 for code in CODES}
    app.extensions.pop("birads_signed", None)  # rows that were read before
    with app.app_context(), writing() as current:
        servers.drop_trigger(current.connection(), "assessments_no_update", "assessments")
        current.execute(
            text("UPDATE assessments SET model_category = :new WHERE exam_id = :exam"),
            {"new": category, "exam": EXAM},
        )
        exam = current.get(Exam, EXAM)
        for image in exam.images:
            mark = Mark(0.5, 0.5, 0.125, 0.1, int(category) / 10 + 0.13)
            image.prediction = ImagePrediction(category, probabilities, (category,), marks=(mark,))
        summary.fill_in(exam)


@pytest.fixture
def reader(blind: Flask) -> FlaskClient:
    client = blind.test_client()
    sign_in(client)
    return client


def seen(client: FlaskClient, address: str) -> str:
    """Return all that a page sends, without what belongs to the request."""
    answer = client.get(address)
    assert answer.status_code == 200, address
    return OF_REQUEST.sub("", answer.text)


def test_nothing_tells_the_result_until_the_reader_asks(blind: Flask, reader: FlaskClient):
    reader.post(f"{URL}/assessments", data={"action": "save", "text": "Draft."})
    reader.get(URL)
    export = f"/exams/export?exam={EXAM}&exam={1:032x}"
    addresses = ["/", "/?list=all&sort=date", "/upload", f"{export}&format=csv", f"{export}&format=json"]
    addresses += [
        URL,
        f"/exams/{1:032x}",
        *(f"{URL}/{name}" for name in ("prefetch", "report", "report?ai_marks=1", "report.json")),
    ]
    before = {address: seen(reader, address) for address in addresses}
    predict(blind, "5")
    for address, shown in before.items():
        assert seen(reader, address) == shown, address
        for word in (
            "heat-",
            "80%",
            "0.8",
            "compact-chart",
            CATEGORIES["5"].colour,
            "suspicious first",
            "AI category",
            "ai-marks-on",
            "ai-ring",
            "data-ai-mark",
        ):
            assert word not in shown, (address, word)
    for refused in (f"{URL}/images/{0:032x}/heat-5", f"{URL}/dicom"):
        assert reader.get(refused).status_code == 403
    for query in ("sort=suspicious", "category=5"):
        assert reader.get(f"/?{query}").status_code == 400

    asked = reader.post(f"{URL}/ai-result", data={"text": "Typed before.", "seen": "99"})
    assert asked.status_code == 303
    page = reader.get(URL).text
    assert (
        "BI-RADS 5" in page and "heat-5" in page and "AI 63%" in page and "Typed before.</textarea>" in page
    )
    assert "AI result is hidden" in reader.get(f"/exams/{1:032x}").text
    reader.post(f"{URL}/ai-result")
    with blind.app_context():
        acts = [(act.who, act.subject) for act in audit_log.newest() if act.action == "ask for AI result"]
        assert acts == [("reader", EXAM)]


def test_an_order_that_was_remembered_before_tells_nothing(blind: Flask, reader: FlaskClient):
    predict(blind, "5")
    with reader.session_transaction() as session:
        session["worklist"] = {"sort": "suspicious", "category": "5"}
    assert re.search(rf'rel="next" href="{URL}"', reader.get(f"/exams/{1:032x}").text)


def test_the_audit_tells_independent_assessments_from_aided_ones(
    blind: Flask, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
):
    reader.post(f"/exams/{1:032x}/ai-result")
    for number in (0, 1):
        reader.post(f"/exams/{number:032x}/assessments", data=SIGN)
    # Until the signature is final nothing is shown, so that what is withdrawn at once and given again is independent.
    assert "AI result is hidden" in reader.get(URL).text
    with blind.app_context():
        aided = [assessments.history(exams.get(f"{number:032x}"))[0].aided for number in (0, 1)]
        assert aided == [False, True]
    monkeypatch.setattr(blinding, "UNDO_FOR", timedelta(0))
    assert "BI-RADS 1" in reader.get(URL).text and "AI result is hidden" not in reader.get(URL).text
    listed = [line.split(",") for line in reader.get("/practice/exams.csv").text.splitlines()]
    column = listed[0].index("aided")
    assert sorted(line[column] for line in listed[1:]) == ["False", "True"]


def everything(app: Flask, client: FlaskClient, token: str) -> dict[str, tuple[int, str]]:
    """Return the answer of every route that shows or downloads something, by address, for the first exam."""
    values = {"exam_id": EXAM, "image_id": f"{0:032x}", "kind": "heat-5", "assessment_id": 1, "name": "m"}
    urls = app.url_map.bind("localhost")
    addresses = {
        urls.build(rule.endpoint, {name: values[name] for name in rule.arguments})
        for rule in app.url_map.iter_rules()
        if "GET" in rule.methods and rule.arguments <= values.keys() and rule.endpoint not in OWN
    }
    selected = f"exam={EXAM}&exam={1:032x}&format"
    addresses |= {"/?list=second", "/?list=all&sort=date", "/practice/?reader=2&model=m"}
    addresses |= {f"/exams/export?{selected}=csv", f"/exams/export?{selected}=json"}
    addresses |= {"/api/v1/exams?status=second", f"{URL}/images/{0:032x}/display"}
    addresses |= {f"{URL}/{name}?ai_marks=1" for name in ("report", "report.pdf")}
    answers = {}
    for address in sorted(addresses):
        headers = bearer(token) if address.startswith("/api/") else {}
        answer = client.get(address, headers=headers)
        content = answer.get_data().decode("latin-1") if answer.status_code == 200 else ""
        answers[address] = answer.status_code, OF_REQUEST.sub("", content)
    return answers


@pytest.mark.slow
def test_no_route_tells_a_second_reader_the_result(
    blind: Flask, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    overseer = blind.test_client()
    make_user(blind, "berta")
    make_user(blind, "otto", Role.AUDITOR)
    sign_in(overseer, "otto")
    with blind.app_context():
        signed = Draft({"R": "1", "L": "2"}, signed=True, second_look=True)
        assessments.add(EXAM, users.by_name("berta"), signed)
        token, other = (tokens.create(users.by_name(name)) for name in ("reader", "otto"))
    monkeypatch.setattr(blinding, "UNDO_FOR", timedelta(0))
    seen_before, open_before = everything(blind, reader, token), everything(blind, overseer, other)
    predict(blind, "5")
    seen_after, open_after = everything(blind, reader, token), everything(blind, overseer, other)
    assert [address for address in seen_after if seen_after[address] != seen_before[address]] == []
    assert {address for address, (status, _) in seen_after.items() if status == 200} >= READ_BLINDED
    assert {address for address in open_after if open_after[address] != open_before[address]} >= OPEN
    (line,) = list(csv.DictReader(io.StringIO(reader.get("/practice/exams.csv").text)))
    assert (line["overall"], line["model"], line["model_category"], line["suspicion"]) == ("2", "m", "", "")
    assert "AI result hidden from you until you ask for it or sign: 1 exam." in reader.get("/practice/").text
    reader.post(f"{URL}/ai-result")
    (line,) = list(csv.DictReader(io.StringIO(reader.get("/practice/exams.csv").text)))
    assert (line["model_category"], float(line["suspicion"])) == ("5", pytest.approx(0.85))
    found = reader.get(f"/api/v1/predictions/{EXAM}", headers=bearer(token)).json
    assert not found["ai_result_hidden"] and found["exam"]["category"] == "5"
    assert [[mark["score"] for mark in image["marks"]] for image in found["images"]] == [[0.63], [0.63]]


def test_a_second_reader_is_blinded_too(blind: Flask, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    make_user(blind, "berta")
    with blind.app_context():
        signed = Draft({"R": "1", "L": "2"}, signed=True, second_look=True)
        assessments.add(EXAM, users.by_name("berta"), signed)
    monkeypatch.setattr(blinding, "UNDO_FOR", timedelta(0))
    assert "AI result is hidden" in reader.get(URL).text
    model = reader.get(f"{URL}/report.json").json["model"]
    assert model["hidden"] and model["category"] is None and model["probability"] is None
    with blind.app_context():
        token = tokens.create(users.by_name("reader"))
    found = reader.get(f"/api/v1/predictions/{EXAM}", headers=bearer(token)).json
    assert found["ai_result_hidden"] and found["exam"] is None
    assert {
        image[name]
        for image in found["images"]
        for name in ("category", "probabilities", "possible", "marks")
    } == {None}
    listed = reader.get("/api/v1/exams", headers=bearer(token)).json["exams"]
    assert [(one["ai_result_hidden"], one["category"]) for one in listed] == 2 * [(True, None)]
    assert reader.get("/practice/exams.csv").text.splitlines()[1].endswith(",m,,,")
