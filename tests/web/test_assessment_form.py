"""Assessment form of the exam page, and reports."""

import io
import json
import re
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from pydicom import dcmread
from pypdf import PdfReader
from werkzeug.test import TestResponse

from birads_app.api.description import describe
from birads_app.model.predictor import ModelSource
from birads_app.records import assessments, blinding, exams, users
from birads_app.records.assessments import Draft
from birads_app.records.schema import Assessment, Exam, Role
from birads_app.terms.categories import DISCLAIMER
from tests.conftest import MakeOnce
from tests.support import stored_exam
from tests.support.dicom_tools import complaints, printed
from tests.support.factories import make_user, mammogram_png, sign_in

pytestmark = pytest.mark.usefixtures("serving_app")

TEXT = "Seen on both views <b>&</b> Größe, ελληνικά, кириллица."


def upload(client: FlaskClient, *seeds: int) -> str:
    """Store an exam with one view of each breast, and return its address."""
    files = [(io.BytesIO(content), name) for name, content in stored_exam.views(*seeds).items()]
    return client.post("/upload", data={"files": files}).location


@pytest.fixture(scope="module")
def initial_instance(once: MakeOnce, initial_instance: Path, _model_source: ModelSource) -> Path:
    """Hold an exam with one view of each breast."""
    return stored_exam.two_views(once, initial_instance, _model_source)


@pytest.fixture
def reader(client: FlaskClient) -> FlaskClient:
    """A browser of the radiologist who uploaded the exam, signed in."""
    sign_in(client)
    return client


@pytest.fixture
def url(serving_app: Flask, reader: FlaskClient) -> str:
    return stored_exam.address(serving_app)


def found(app: Flask, url: str) -> Exam:
    with app.app_context():
        return exams.get(url.rsplit("/", 1)[-1])


def send(client: FlaskClient, url: str, **fields: object) -> TestResponse:
    return client.post(f"{url}/assessments", data=fields)


def full(app: Flask, url: str) -> dict[str, object]:
    """Return a completely filled form."""
    (image, _) = found(app, url).images
    finding = {
        "kind": "mass", "shape": "irregular", "margin": "spiculated", "associated": ["skin-retraction"], "side": "R",
        "region": "upper-outer", "clock": "10", "depth": "middle", "size": "14", "nipple": "45", "image": image.id,
        "x": "0.25", "y": "0.5",
    }  # fmt: skip
    return {
        "category-R": "4B", "category-L": "2", "density": "C", "text": TEXT, "action": "sign", "row": ["7"],
        "section-indication": "Screening.\nNo symptoms.", "section-comparison": "None available.",
        **{f"finding-7-{name}": value for name, value in finding.items()},
    }  # fmt: skip


def test_signing_opens_the_next_exam_and_finally_the_worklist(reader: FlaskClient, url: str) -> None:
    other = upload(reader, 3, 4)
    both = {"category-R": "1", "category-L": "2", "action": "sign"}
    next_page = send(reader, url, **both).location
    assert next_page == f"{other}?signed=1"
    page = reader.get(next_page).text
    assert "signed: BI-RADS 2. Next exam opened." in " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert send(reader, other, **both).location == "/?signed=2"
    assert "No unread exams left" in reader.get("/?signed=2").text


def test_a_signature_can_be_undone_for_some_seconds(
    serving_app: Flask, reader: FlaskClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = send(
        reader, url, **{"category-R": "1", "category-L": "2", "action": "sign", "text": "Typed."}
    ).location
    (undo,) = re.findall(rf'action="({url}/assessments/1/withdraw)"', reader.get(following).text)
    make_user(serving_app, "berta")
    other = serving_app.test_client()
    sign_in(other, "berta")
    assert "signed: BI-RADS" not in other.get(following).text and other.post(undo).status_code == 409
    page = reader.post(undo, follow_redirects=True).text
    assert "Signature withdrawn. The exam is not signed." in page and "Typed.</textarea>" in page
    assert re.search(r'name="category-L" value="2" checked', page) and ">withdrawn" in page
    assert found(serving_app, url).status == "new" and reader.post(undo).status_code == 409
    assert "WITHDRAWN" in reader.get(f"{url}/report?assessment=1").text
    drawn = PdfReader(io.BytesIO(reader.get(f"{url}/report.pdf?assessment=1").data)).pages[0].extract_text()
    assert "WITHDRAWN" in drawn
    send(reader, url, **{"category-R": "1", "category-L": "2", "action": "sign"})
    monkeypatch.setattr(blinding, "UNDO_FOR", timedelta(0))
    late = reader.get("/?signed=2").text
    assert "signed: BI-RADS 2." in late and "/withdraw" not in late
    assert reader.post(f"{url}/assessments/2/withdraw").status_code == 409


def test_an_amended_report_says_what_changed_on_page_pdf_and_json(
    serving_app: Flask, reader: FlaskClient, url: str
) -> None:
    send(reader, url, **{"category-R": "1", "category-L": "2", "action": "sign"})
    assert (
        "AMENDED" not in reader.get(f"{url}/report").text
        and not reader.get(f"{url}/report.json").json["amends"]
    )
    send(
        reader, url, **{"category-R": "1", "category-L": "4A", "density": "B", "action": "sign", "seen": "1"}
    )
    page = reader.get(f"{url}/report").text
    assert "<b>AMENDED</b>" in page and "Replaces the report signed by reader" in page
    drawn = PdfReader(io.BytesIO(reader.get(f"{url}/report.pdf").data)).pages[0].extract_text()
    for text in (" ".join(re.sub(r"<[^>]+>", "", page).split()), drawn):
        assert "BI-RADS 2 → BI-RADS 4A" in text and "AMENDED" in text and "none → B" in text
    amends = reader.get(f"{url}/report.json").json["amends"]
    assert amends["changes"][0] == {"part": "breasts.L", "before": "2", "after": "4A"}
    with zipfile.ZipFile(io.BytesIO(reader.get(f"{url}/dicom").data)) as archive:
        first, second = (dcmread(io.BytesIO(archive.read(f"report-{number}.dcm"))) for number in (1, 2))
    assert second.CompletionFlagDescription == "AMENDED" and "CompletionFlagDescription" not in first
    series = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_entries_are_kept_as_typed_for_their_reader_until_saved(
    serving_app: Flask, reader: FlaskClient, url: str
) -> None:
    typed = {
        "category-R": "4",
        "text": "Half a sen",
        "row": "7",
        "finding-7-kind": "mass",
        "finding-7-size": "1x",
    }
    assert (
        reader.post(f"{url}/entries", data=typed | {"seen": "0", "csrf_token": "secret"}).status_code == 204
    )
    page = reader.get(url).text
    for field in (
        'name="category-R" value="4" checked',
        "Half a sen</textarea>",
        'value="mass" selected',
        'value="1x"',
    ):
        assert field in page, field
    assert "Entries kept" in page and "Discard unsaved entries" in page
    make_user(serving_app, "berta")
    other = serving_app.test_client()
    sign_in(other, "berta")
    assert "Half a sen" not in other.get(url).text
    send(reader, url, **{"category-R": "2", "action": "save"})
    page = reader.get(url).text
    assert "Entries kept" not in page and "Half a sen" not in page
    # What was on its way while the reader saved comes late, and is not kept.
    assert reader.post(f"{url}/entries", data=typed | {"seen": "0"}).status_code == 409
    assert reader.post(f"{url}/entries", data=typed | {"seen": "1"}).status_code == 204
    assert reader.post(f"{url}/entries", data={"text": "x" * 65_000, "seen": "1"}).status_code == 422
    send(reader, url, action="discard")
    assert "Half a sen" not in reader.get(url).text and len(assessments_of(serving_app, url)) == 1


def assessments_of(app: Flask, url: str) -> list[Assessment]:
    with app.app_context():
        return list(assessments.history(found(app, url)))


def test_no_request_of_a_script_uses_up_a_message(reader: FlaskClient, url: str) -> None:
    """A page prefetches the next exam's images while its form may be submitted."""
    other = upload(reader, 3, 4)
    prefetch = re.search(r'rel="next"[^>]* data-prefetch="([^"]+)"', reader.get(url).text)[1]
    assert prefetch.startswith(other)
    send(reader, url, **{"category-R": "1", "action": "save"})
    addresses = reader.get(prefetch).json["addresses"]
    assert len(addresses) == 4 and all(address.startswith(f"{other}/images/") for address in addresses)
    answers = [reader.get(address) for address in (prefetch, *addresses)]
    answers += [reader.post(f"{other}/claim"), reader.post(f"{other}/claim", data={"release": "1"})]
    assert [answer.status_code for answer in answers] == [200] * 5 + [204] * 2
    # Error pages and whole pages too, if they are for a script, an image or loaded in advance.
    for headers in ({"Sec-Fetch-Dest": "image"}, {"Sec-Fetch-Dest": "empty"}, {"Sec-Purpose": "prefetch"}):
        answers += [reader.get(address, headers=headers) for address in (f"{url}/images/none/display", url)]
    # A late answer with a cookie would bring the session from before the form back.
    assert not any("Set-Cookie" in answer.headers for answer in answers)
    page = reader.get(url)
    assert "Draft saved, not signed." in page.text and "Set-Cookie" in page.headers


def test_a_refused_form_keeps_its_input(serving_app: Flask, reader: FlaskClient, url: str) -> None:
    sent = full(serving_app, url) | {"action": "save", "second_look": "yes"}
    assert send(reader, url, **sent).location == f"{url}#assessment"
    page = reader.get(url).text
    assert "Draft saved" in page
    for field in (
        r'name="category-R" value="4B" checked',
        r'name="category-L" value="2" checked',
        r'name="density" value="C" checked',
        r'value="irregular" selected',
        r'value="10" selected',
        r'name="finding-1-x" value="0.25"',
        r'name="finding-1-size" min="1" max="300" step="1" value="14"',
        r'value="skin-retraction" checked',
        r'name="second_look" value="yes" checked',
        r"&lt;b&gt;&amp;&lt;/b&gt; Größe",
    ):
        assert re.search(field, page), field
    with serving_app.app_context():
        assert exams.get(url.rsplit("/", 1)[-1]).status == "new"


def test_a_signature_without_a_category_is_saved_as_a_draft(reader: FlaskClient, url: str) -> None:
    assert (
        send(reader, url, **{"category-R": "1", "text": "kept", "action": "sign"}).location
        == f"{url}#assessment"
    )
    page = reader.get(url).text
    assert "Not signed: one breast has no category yet" in page and "kept</textarea>" in page


def test_a_contradictory_location_is_saved_as_a_draft_with_the_reason(
    serving_app: Flask, reader: FlaskClient, url: str
) -> None:
    left = found(serving_app, url).images[1].id
    for change, message in (
        ({"clock": "2"}, "2 o’clock is not in the chosen quadrant, which is at 9–12 o’clock"),
        ({"side": "L"}, "10 o’clock is not in the chosen quadrant, which is at 12–3 o’clock"),
        ({"side": "", "clock": "6"}, "which is at 9–12, 12–3 o’clock"),
        ({"image": left}, "its side is not that of the marked image"),
    ):
        sent = full(serving_app, url) | {f"finding-7-{name}": value for name, value in change.items()}
        assert send(reader, url, **sent).location == f"{url}#assessment"
        page = reader.get(url).text
        assert message in page and "Draft saved, not signed." in page
    assert found(serving_app, url).assessed is None


def test_a_report_has_the_signers_full_name_and_title_of_that_time(
    serving_app: Flask, reader: FlaskClient, url: str
) -> None:
    send(reader, url, **full(serving_app, url))
    signature = {"full_name": " Dr. Anna  Berg", "title": "Consultant radiologist"}
    assert reader.post("/account/signature", data=signature).status_code == 303
    assert 'value="Dr. Anna Berg"' in reader.get("/account").text
    assert "Signed by reader on" in reader.get(f"{url}/report").text
    send(reader, url, **full(serving_app, url) | {"section-management": "MRI."})
    report = reader.get(f"{url}/report")
    assert "Signed by Dr. Anna Berg, Consultant radiologist on" in report.text
    assert "MRI." in report.text and "Tissue diagnosis." not in report.text
    refused = reader.post("/account/signature", data={"full_name": "Berg^Anna"})
    assert refused.status_code == 422 and "without line breaks" in refused.text


def test_concurrent_assessments_are_both_stored_with_a_warning(
    serving_app: Flask, reader: FlaskClient, url: str
) -> None:
    make_user(serving_app, "berta")
    seen = re.search(r'name="seen" value="(\d+)"', reader.get(url).text)[1]
    other = serving_app.test_client()
    sign_in(other, "berta")
    both = {"category-R": "2", "category-L": "2", "action": "sign", "seen": seen}
    send(other, url, **both)
    assert send(reader, url, **both, text="Mine.").location == f"{url}?signed=2#assessment"
    page = reader.get(url).text
    assert re.search(r"berta assessed this exam at \d\d:\d\d UTC; both assessments were kept.", page)
    assert re.findall(r"<p><b>(\w+)</b>, <time", page) == ["reader", "berta"]
    assert "2 assessments" in page


def test_an_invalid_form_is_refused_with_the_reason(
    serving_app: Flask, reader: FlaskClient, url: str
) -> None:
    mass = {"row": "1", "finding-1-kind": "mass"}
    mark = {"finding-1-image": "x", "finding-1-x": "nan", "finding-1-y": "0"}
    for fields, message in (
        ({"category-R": "9"}, "Unknown value for category"),
        ({"row": "1", "finding-1-clock": "3"}, "Choose the type of finding 1"),
        (mass | {"finding-1-size": "big"}, "The size must be a whole number of millimetres"),
        (mass | mark, "0 to 1"),
        (mass | {"finding-1-shape": "square"}, "Unknown value for shape"),
    ):
        answer = send(reader, url, action="save", **fields)
        assert answer.status_code == 422 and message in answer.text
    with serving_app.app_context():
        assert not assessments.history(found(serving_app, url))


def test_an_empty_or_removed_row_is_not_a_finding(serving_app: Flask, reader: FlaskClient, url: str) -> None:
    fields = {"finding-2-kind": "skin-lesion", "finding-3-kind": "mass", "finding-3-removed": "on"}
    fields |= {"finding-2-shape": "oval"}  # of the kind that was chosen before
    send(reader, url, action="save", row=["1", "2", "3"], **fields)
    with serving_app.app_context():
        (made,) = assessments.history(found(serving_app, url))
        assert made.findings == [{"kind": "skin-lesion"}]


def test_an_auditor_sees_reports_but_cannot_assess(serving_app: Flask, reader: FlaskClient, url: str) -> None:
    send(reader, url, **full(serving_app, url))
    make_user(serving_app, "watcher", Role.AUDITOR)
    auditor = serving_app.test_client()
    sign_in(auditor, "watcher")
    page = auditor.get(url).text
    assert "assessment-form" not in page and "1 assessment" in page
    for kind in ("report", "report.pdf", "report.json"):
        assert auditor.get(f"{url}/{kind}").status_code == 200
    assert send(auditor, url, action="save").status_code == 403
    assert serving_app.test_client().get(f"{url}/report").status_code == 302


def test_the_report_fits_on_one_page(serving_app: Flask, reader: FlaskClient, url: str) -> None:
    send(reader, url, **full(serving_app, url))
    page = reader.get(f"{url}/report").text
    pdf = PdfReader(io.BytesIO(reader.get(f"{url}/report.pdf").data))
    assert len(pdf.pages) == 1
    drawn = " ".join(pdf.pages[0].extract_text().replace("\xa0", " ").split())
    shown = " ".join(
        re.sub(r"<[^>]+>", " ", page).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").split()
    )
    for text in (
        found(serving_app, url).pseudonym, "Indication Screening. No symptoms.", "Comparison None available.",
        "Technique Mammography: RCC, LCC.", "BI-RADS 4B", "Moderate suspicion for malignancy",
        "Management Tissue diagnosis.", "Distance from the nipple: 45 mm", "BI-RADS 2", "Benign",
        "heterogeneously dense", "Shape: Irregular",
        "Quadrant: Upper outer quadrant", "Position: 10 o’clock", "Associated feature: Skin retraction", TEXT,
        "Signed by reader on", "Only assessment of this exam", "AI result (not part of this assessment)",
        "; next, BI-RADS",
        "Demonstration model birads-demo", DISCLAIMER,
    ):  # fmt: skip
        assert text in drawn, text
        assert text in shown.replace("\xa0", " "), text
    assert "PRELIMINARY" not in drawn + shown
    assert page.count('class="report-mark"') == 1
    assert len(pdf.pages[0].images) == 2
    assert reader.get(f"{url}/report.pdf").data == reader.get(f"{url}/report.pdf").data


def test_the_report_of_a_draft_is_preliminary_and_long_text_wraps(reader: FlaskClient, url: str) -> None:
    assert reader.get(f"{url}/report").status_code == 404
    send(reader, url, action="save", text="word " * 800)
    assert "PRELIMINARY" in reader.get(f"{url}/report").text
    pdf = PdfReader(io.BytesIO(reader.get(f"{url}/report.pdf").data))
    assert len(pdf.pages) == 2 and all("PRELIMINARY" in page.extract_text() for page in pdf.pages)
    assert "No category assigned yet" in pdf.pages[0].extract_text()


def test_the_report_shows_the_current_assessment_by_default(
    serving_app: Flask, reader: FlaskClient, url: str
) -> None:
    send(reader, url, **full(serving_app, url))
    send(reader, url, action="save", text="Later.")
    report = reader.get(f"{url}/report.json").json
    schemas = {"$ref": "#/components/schemas/Assessment", "components": describe("")["components"]}
    Draft202012Validator(schemas).validate(report["assessment"])
    assert report["assessment"]["category"] == "4B" and not report["preliminary"]
    assert report["assessments"] == 2 and report["model"]["name"] == "birads-demo"
    json.dumps(report)
    with serving_app.app_context():
        note = assessments.history(found(serving_app, url))[0].id
    assert reader.get(f"{url}/report.json?assessment={note}").json["preliminary"]
    assert reader.get(f"{url}/report.json?assessment=999").status_code == 404


def test_the_dicom_objects_are_valid_and_pseudonymous(
    serving_app: Flask, reader: FlaskClient, url: str, tmp_path
) -> None:
    send(reader, url, **full(serving_app, url))
    exam = found(serving_app, url)
    with zipfile.ZipFile(io.BytesIO(reader.get(f"{url}/dicom").data)) as archive:
        archive.extractall(tmp_path / "zip")
    paths = sorted((tmp_path / "zip").iterdir())
    assert [path.stem for path in paths] == ["model-picture-1", "model-picture-2", "model-report", "report-1"]
    for path in paths:
        made = dcmread(path)
        assert (made.StudyInstanceUID, made.PatientID) == (exam.study_uid, exam.pseudonym)
        assert b"Secretname" not in path.read_bytes()
        assert made.StudyDate == exam.exam_date.strftime("%Y%m%d") != "20200131"
        assert (made.LongitudinalTemporalInformationModified, made.PatientIdentityRemoved) == (
            "MODIFIED",
            "YES",
        )
        assert not complaints(path)
    assert "Margin: Spiculated" in printed(paths[-1])


def test_dicom_objects_are_english_whoever_downloads_them(
    serving_app: Flask, reader: FlaskClient, url: str
) -> None:
    send(reader, url, **full(serving_app, url))
    english = texts_of_objects(reader.get(f"{url}/dicom").data)
    reader.post("/language", data={"language": "de"})
    assert 'lang="de"' in reader.get(url).text
    german = texts_of_objects(reader.get(f"{url}/dicom", headers={"Accept-Language": "de"}).data)
    assert german == english
    with serving_app.app_context():
        warnings = {
            warning
            for image in exams.get(url.rsplit("/", 1)[-1]).images
            for warning in image.prediction.warnings
        }
    assert warnings and all(any(warning in one for one in english) for warning in warnings)
    assert any("Margin: Spiculated" in one for one in english)


def texts_of_objects(zipped: bytes) -> list[str]:
    """List all texts and code meanings in the objects of a ZIP archive."""
    found: list[str] = []
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        for name in sorted(archive.namelist()):
            made = dcmread(io.BytesIO(archive.read(name)))
            found += [
                str(one.value) for one in made.iterall() if one.VR in ("UT", "LO", "ST", "LT") and one.value
            ]
    return found


def test_exams_without_dicom_files_have_no_dicom_objects(reader: FlaskClient) -> None:
    picture = reader.post("/upload", data={"files": [(io.BytesIO(mammogram_png()), "a.png")]}).location
    answer = reader.get(f"{picture}/dicom")
    assert answer.status_code == 404 and "no Study Instance UID" in answer.text
    assert f"{picture}/dicom" not in reader.get(picture).text


def test_a_report_is_in_the_reader_s_language(serving_app: Flask, reader: FlaskClient, url: str) -> None:
    with serving_app.app_context():
        assessments.add(url.rsplit("/", 1)[-1], users.by_name("reader"), Draft(density="A"))
    reader.post("/language", data={"language": "de"})
    assert 'lang="de"' in reader.get(f"{url}/report").text
    pdf = PdfReader(io.BytesIO(reader.get(f"{url}/report.pdf").data))
    assert pdf.trailer["/Root"]["/Lang"] == "de"
