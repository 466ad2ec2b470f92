"""Report templates: administrators edit them, readers are offered those of their language."""

import json
import re
from html import unescape

from flask import Flask
from flask.testing import FlaskClient

from birads_app.records import audit_log, report_templates
from tests.support import direct_exam
from tests.support.factories import make_user, sign_in

PAGE, EXAM = "/admin/report-templates", "e" * 32


def offered(client: FlaskClient) -> dict[str, dict[str, str]]:
    """Return the texts of the templates that the exam's page offers, by name."""
    found = re.findall(
        r'<option value="\d+" data-texts="([^"]*)">([^<]*)<', client.get(f"/exams/{EXAM}").text
    )
    return {name: json.loads(unescape(texts)) for texts, name in found}


def test_an_administrator_adds_changes_and_deletes_a_template(app: Flask, admin: FlaskClient) -> None:
    page = admin.get(PAGE).text
    assert "Screening, no finding" in page and "Screening ohne Befund" in page
    sent = {
        "name": " Recall  after screening ",
        "language": "en",
        "text": "A <b>finding</b>.",
        "management": "MRI.",
    }
    assert admin.post(PAGE, data=sent).status_code == 303
    with app.app_context():
        (made,) = [one for one in report_templates.listing("en") if one.name == "Recall after screening"]
    assert made.texts == {"text": "A <b>finding</b>.", "management": "MRI."}
    assert "A &lt;b&gt;finding&lt;/b&gt;." in admin.get(PAGE).text
    admin.post(PAGE, data=sent | {"id": made.id, "indication": "Recall.", "text": ""})
    with app.app_context():
        (changed,) = [one for one in report_templates.listing("en") if one.id == made.id]
        assert changed.texts == {"indication": "Recall.", "management": "MRI."}
    assert (
        "Template deleted."
        in admin.post(PAGE, data={"id": made.id, "action": "delete"}, follow_redirects=True).text
    )
    assert admin.post(PAGE, data={"id": made.id, "action": "delete"}).status_code == 404
    with app.app_context():
        acts = [(one.action, one.subject) for one in audit_log.newest(3)]
    name = "Recall after screening"
    assert acts == [
        ("delete report template", name), ("change report template", name), ("change report template", name)
    ]  # fmt: skip


def test_what_is_refused_stays_in_the_form(admin: FlaskClient) -> None:
    for change, message in (
        ({"name": " "}, "needs a name"),
        ({"name": "Palpable lump"}, "already exists"),
        ({"technique": "x" * 1001}, "1001 characters"),
    ):
        answer = admin.post(PAGE, data={"name": "New", "language": "en", "text": "Kept text."} | change)
        assert answer.status_code == 422 and message in answer.text and "Kept text." in answer.text


def test_readers_are_offered_the_templates_of_their_language(app: Flask, client: FlaskClient) -> None:
    make_user(app)
    sign_in(client)
    with app.app_context():
        direct_exam.store(EXAM)
    english = offered(client)
    assert english["Screening, no finding"]["indication"] == "Screening mammography. No symptoms."
    client.post("/language", data={"language": "de", "next": "/"})
    german = offered(client)
    assert german and not set(german) & set(english)
    assert client.get(PAGE).status_code == 403
