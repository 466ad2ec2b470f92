"""Messages: stored as code and values, shown in English to programs and in the reader's language on pages."""

import ast
import copy
import io
import json
import pickle
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from birads_app.imaging.limits import check_size
from birads_app.intake.ingest import FileProblem, IntakeRefused
from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import exams
from birads_app.records.database import session, writing
from birads_app.records.errors import TooManyAttempts
from birads_app.records.schema import Exam, Image, User
from birads_app.terms.catalogue import (
    SINGULARS,
    TEXTS,
    account_texts,
    dicom_texts,
    exam_texts,
    image_texts,
    model_texts,
    network_texts,
    table_texts,
)
from birads_app.terms.errors import ImageTooLarge, UnreadableImage
from birads_app.terms.messages import Message, join, msg
from birads_app.web.wording import translated
from tests.support.factories import bearer, make_token, make_user, sign_in

ROOT = Path(__file__).resolve().parent.parent.parent
GERMAN = {"Accept-Language": "de"}
EXAM = "e" * 32
EMPTY = "The picture is empty."
ODD = {"looks-odd": "This looks odd: %(reason)s.", "noise": "it is noise", "picture-empty": EMPTY}
GERMAN_TEXTS = {
    TEXTS["low-resolution"]: "%(height)d mal %(width)d Bildpunkte sind wenig: Mikrokalk ist nicht zu sehen.",
    EMPTY: "Das Bild ist leer.",
    ODD["looks-odd"]: "Das sieht seltsam aus: %(reason)s.",
    ODD["noise"]: "es rauscht",
    TEXTS["archive-damaged"]: "Das Archiv %(name)s ist beschädigt.",
    TEXTS["exam-missing"]: "Diese Untersuchung gibt es nicht.",
}


@pytest.fixture(autouse=True)
def _odd_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some texts of the test's own."""
    for code, english in ODD.items():
        monkeypatch.setitem(TEXTS, code, english)


@pytest.fixture
def config(config: dict[str, object], tmp_path: Path) -> dict[str, object]:
    """An application with a German catalogue of the test's own."""
    catalogue = Catalog(locale="de")
    for english, german in GERMAN_TEXTS.items():
        catalogue.add(english, german)
    folder = tmp_path / "translations/de/LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "messages.mo").open("wb") as stream:
        write_mo(stream, catalogue)
    return {**config, "BABEL_TRANSLATION_DIRECTORIES": str(tmp_path / "translations")}


@pytest.fixture
def odd(_odd_texts: None) -> Message:
    return msg("looks-odd", reason=msg("noise"))


def test_a_message_is_its_english_text(odd: Message) -> None:
    assert odd == "This looks odd: it is noise."
    assert json.dumps([odd]) == '["This looks odd: it is noise."]'
    assert join(["One.", "2% are enough."]) == "One. 2% are enough."
    assert join([odd, msg("picture-empty")], lines=True) == f"{odd}\n{EMPTY}"


def test_a_text_without_values_may_contain_a_per_cent_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEXTS, "enough", "2% are enough.")
    assert msg("enough") == "2% are enough."


def test_an_unknown_code_is_refused_in_code_and_shown_if_stored() -> None:
    with pytest.raises(KeyError, match="no-such-code"):
        msg("no-such-code")
    assert Message("no-such-code", {}) == "no-such-code"
    assert Message("no-such-code", {"width": 3, "side": "R"}) == "no-such-code (width: 3, side: R)"


@pytest.mark.parametrize("text", ["%(height)d pixels.", "%(width)q pixels.", "100% of %(width)d pixels."])
def test_stored_values_without_a_placeholder_are_shown(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEXTS, "noise", text)
    assert Message("noise", {"width": 3}) == "noise (width: 3)"


def test_a_copied_message_stays_a_message(odd: Message) -> None:
    for again in (copy.deepcopy(odd), pickle.loads(pickle.dumps(odd))):
        assert (again, again.code, again.values) == (odd, odd.code, odd.values)


def test_an_error_keeps_its_message() -> None:
    with pytest.raises(ImageTooLarge) as caught:
        check_size(100_000, 20_000)
    assert caught.value.message == str(caught.value)
    assert caught.value.message.values == {"width": 100_000, "height": 20_000, "megapixels": 120}
    assert TooManyAttempts(90).message.values == {"seconds": 90}


def test_a_refusal_keeps_the_messages_of_all_files(app: Flask, odd: Message) -> None:
    refusal = IntakeRefused(
        [FileProblem("one.png", odd, UnreadableImage), FileProblem("", msg("picture-empty"), UnreadableImage)]
    )
    assert str(refusal) == "one.png: This looks odd: it is noise.\nThe picture is empty."
    with app.test_request_context(headers=GERMAN):
        assert (
            translated(refusal.message) == "one.png: Das sieht seltsam aus: es rauscht.\nDas Bild ist leer."
        )


def test_text_outside_of_the_catalogue_is_unchanged(
    app: Flask, odd: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TEXTS, "new", "New: %(reason)s.")
    with app.test_request_context(headers=GERMAN):
        shown = [translated(text) for text in ("", "100% new", msg("new", reason=odd), Message("gone", {}))]
        assert shown == ["", "100% new", "New: Das sieht seltsam aus: es rauscht..", "gone"]


@pytest.fixture
def stored(app: Flask, odd: Message) -> Flask:
    """A stored exam of one image with three warnings, the last as it was stored formerly."""
    make_user(app)
    warnings = (odd, msg("low-resolution", width=160, height=200), EMPTY)
    image = Image(id="a" * 32, position=0, filename="one.png", source="PNG", width=160, height=200)
    image.prediction = ImagePrediction("4", {"4": 0.75, "1": 0.25}, warnings=warnings)
    with app.app_context(), writing() as current:
        reader = current.query(User).one()
        exam = Exam(id=EXAM, uploader_id=reader.id, model="m", demonstration=True, images=[image])
        exam.failure = join([odd, msg("picture-empty")])
        current.add(exam)
    return app


def test_messages_are_read_back_from_the_database(stored: Flask, odd: Message) -> None:
    with stored.app_context():
        exam = exams.get(EXAM)
        first, second, third = exam.images[0].prediction.warnings
        assert first == odd and isinstance(first.values["reason"], Message)
        assert second.values == {"width": 160, "height": 200}
        assert type(third) is str
        assert exam.failure.values == {"1": odd, "2": EMPTY}


def test_the_database_stores_codes_not_texts(stored: Flask) -> None:
    with stored.app_context():
        prediction, failure = (
            session()
            .execute(
                text(
                    "SELECT CAST(prediction AS TEXT), failure FROM images JOIN exams ON exams.id = images.exam_id"
                )
            )
            .one()
        )
    assert json.loads(prediction)["warnings"][:2] == [
        {"code": "looks-odd", "values": {"reason": {"code": "noise", "values": {}}}},
        {"code": "low-resolution", "values": {"width": 160, "height": 200}},
    ]
    assert "odd: " not in failure and "empty." not in failure


def test_an_edited_text_changes_what_stored_exams_show(
    stored: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(client)
    assert "Low resolution (160 x 200 pixels)" in client.get(f"/exams/{EXAM}").text
    monkeypatch.setitem(TEXTS, "low-resolution", "Only %(width)d columns and %(height)d rows.")
    assert "Only 160 columns and 200 rows." in client.get(f"/exams/{EXAM}").text


def test_rows_of_plain_text_stay_readable(stored: Flask) -> None:
    with stored.app_context():
        small = ImagePrediction("4", {"4": 1.0}, warnings=("It is small.",)).to_json()
        with writing() as current:
            current.execute(text("UPDATE exams SET failure = 'It was cut off.'"))
            current.execute(text("UPDATE images SET prediction = :stored"), {"stored": json.dumps(small)})
        session().expire_all()
        exam = exams.get(EXAM)
        assert (exam.failure, exam.images[0].prediction.warnings) == ("It was cut off.", ("It is small.",))


def test_pages_are_in_the_reader_s_language_and_the_api_in_english(
    stored: Flask, client: FlaskClient
) -> None:
    sign_in(client)
    page = client.get(f"/exams/{EXAM}", headers=GERMAN).text
    for german in (
        "200 mal 160 Bildpunkte sind wenig",
        "Das sieht seltsam aus: es rauscht.",
        "Das Bild ist leer.",
    ):
        assert german in page
    assert "Low resolution (160 x 200 pixels)" in client.get(f"/exams/{EXAM}").text
    key = {**bearer(make_token(stored)), **GERMAN}
    (image,) = client.get(f"/api/v1/predictions/{EXAM}", headers=key).json["images"]
    assert image["warnings"][:2] == [
        "This looks odd: it is noise.",
        "Low resolution (160 x 200 pixels): small calcifications may not be visible.",
    ]


def test_errors_are_translated_too(stored: Flask, client: FlaskClient) -> None:
    sign_in(client)
    assert "Diese Untersuchung gibt es nicht." in client.get("/exams/none", headers=GERMAN).text
    key = {**bearer(make_token(stored)), **GERMAN}
    answer = client.get("/api/v1/predictions/none", headers=key)
    assert answer.json["error"] == "This exam does not exist. It may have been deleted."


@pytest.mark.usefixtures("serving_app")
def test_a_file_s_problem_is_translated_and_its_name_is_not(stored: Flask, client: FlaskClient) -> None:
    sign_in(client)
    damaged = {"files": [(io.BytesIO(b"PK\x03\x04"), "<b>it is noise.zip")]}
    answer = client.post("/upload", data=damaged, headers=GERMAN)
    assert answer.status_code == 422
    assert "Das Archiv &lt;b&gt;it is noise.zip ist beschädigt." in answer.text


# ---- every code is in the catalogue, and every error has one

PLACEHOLDER = re.compile(r"%\((\w+)\)[dsr]")


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "birads_app").rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a name; a class's call of what it inherits from counts as one of the class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node
        if isinstance(node, ast.ClassDef):
            inherited = (call for call in ast.walk(node) if isinstance(call, ast.Call))
            yield from (
                (node.name, call) for call in inherited if ast.unparse(call.func) == "super().__init__"
            )


def _domain_errors() -> set[str]:
    classes = [node for _, tree in _trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found = {"BiradsError"}
    while more := {one.name for one in classes if found & {ast.unparse(base) for base in one.bases}} - found:
        found |= more
    return found


def _is_text(node: ast.expr) -> bool:
    """Tell a literal, and what is put together from one, from a variable and a message."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr in {"format", "join"}
    literal = isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != ""
    return literal or isinstance(node, ast.JoinedStr | ast.BinOp)


def _offences(tree: ast.AST, errors: set[str]) -> Iterator[str]:
    for name, call in _calls(tree):
        if name in errors and any(map(_is_text, call.args)):
            yield f"line {call.lineno}: the message of {name} is not made with msg()"
        if name != "msg":
            continue
        code = call.args[0].value if isinstance(call.args[0], ast.Constant) else None
        if code not in TEXTS:
            yield f"line {call.lineno}: the catalogue has no such code: {ast.unparse(call.args[0])}"
        elif set(PLACEHOLDER.findall(TEXTS[code])) != {key.arg for key in call.keywords}:
            yield f"line {call.lineno}: placeholders and values of {code} differ"


def test_every_error_has_a_message_of_the_catalogue() -> None:
    errors = _domain_errors() | {"Problem", "FileProblem"}
    assert {"UnreadableImage", "NotFound", "PatientNotCertain", "IntakeRefused"} <= errors
    found = [f"{path}, {offence}" for path, tree in _trees() for offence in _offences(tree, errors)]
    assert not found, "\n".join(found)


def test_every_code_of_the_catalogue_is_used() -> None:
    used = {
        ast.literal_eval(call.args[0]) for _, tree in _trees() for name, call in _calls(tree) if name == "msg"
    }
    assert not set(TEXTS) - set(ODD) - used


def test_codes_are_unique_lower_case_words() -> None:
    tables = [
        account_texts.ACCOUNT,
        dicom_texts.DICOM,
        exam_texts.EXAM,
        image_texts.IMAGE,
        model_texts.MODEL,
        network_texts.NETWORK,
        table_texts.TABLE,
    ]
    assert sum(map(len, tables)) == len(TEXTS) - len(ODD)
    assert not [code for code in TEXTS if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) or len(code) > 32]


def test_one_is_singular() -> None:
    assert msg("caution-report-warns", count=1) == "Its training report has a warning."
    assert msg("caution-report-warns", count=2) == "Its training report has 2 warnings."
    assert "in 1 second." in msg("uploads-busy", seconds=1)
    for code, (number, singular) in SINGULARS.items():
        assert {*PLACEHOLDER.findall(singular), number} == set(PLACEHOLDER.findall(TEXTS[code]))


def test_a_moment_is_written_in_the_format_of_the_reader(app: Flask) -> None:
    kept = msg("exam-kept-in-bin", until=datetime(2026, 11, 27, 14, 5, tzinfo=UTC))
    assert "until 2026-11-27 14:05 UTC." in kept  # for programs
    for language, shown in (("en", "27 Nov 2026, 14:05 UTC"), ("de", "27.11.2026, 14:05 UTC")):
        with app.test_request_context(headers={"Accept-Language": language}):
            assert shown in translated(msg("looks-odd", reason=kept))


@pytest.mark.parametrize(
    "source",
    [
        "raise NotFound('There is none.')",
        "raise NotFound(f'There is no {name}.') from None",
        "error = NotFound('There is no ' + name)",
        "raise NotFound('There is no {}.'.format(name))",
        "class NotFound(BiradsError):\n def __init__(self):\n  super().__init__('There is none.')",
        "raise NotFound(msg(code))",
        "raise NotFound(msg(f'{what}-missing'))",
        "raise NotFound(msg('no-such-code'))",
        "raise NotFound(msg('archive-damaged', nmae=name))",
        "raise NotFound(msg('archive-damaged'))",
    ],
)
def test_the_check_finds_an_error_without_a_message(source: str) -> None:
    assert list(_offences(ast.parse(source), {"NotFound"}))


@pytest.mark.parametrize(
    "source", ["raise NotFound(msg('archive-damaged', name=name))", "raise NotFound(error.message)"]
)
def test_the_check_accepts_a_message(source: str) -> None:
    assert not list(_offences(ast.parse(source), {"NotFound"}))
