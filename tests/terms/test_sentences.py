"""What the core says is English to the program, and the reader's language to the reader."""

import ast
import copy
import io
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from birads_app.imaging.limits import check_size
from birads_app.intake.ingest import IntakeRefused, Problem
from birads_app.records import exams
from birads_app.records.database import session, writing
from birads_app.records.errors import TooManyAttempts
from birads_app.records.schema import Exam, Image, User
from birads_app.terms.errors import ImageTooLarge, UnreadableImage
from birads_app.terms.messages import Sentence, say, together
from birads_app.web.wording import translated
from tests.support.factories import bearer, make_token, make_user, sign_in

ROOT = Path(__file__).resolve().parent.parent.parent
GERMAN = {"Accept-Language": "de"}
EXAM = "e" * 32
LOW = "Low resolution (%(width)d x %(height)d pixels): small calcifications cannot be seen."
CATALOGUE = {
    LOW: "%(height)d mal %(width)d Bildpunkte sind wenig: Mikrokalk ist nicht zu sehen.",
    "The picture is empty.": "Das Bild ist leer.",
    "This looks odd: %(reason)s.": "Das sieht seltsam aus: %(reason)s.",
    "it is noise": "es rauscht",
    "The archive %(name)s is damaged. Pack the images again.": "Das Archiv %(name)s ist beschädigt.",
    "There is no such exam. It may have been deleted.": "Diese Untersuchung gibt es nicht.",
}


@pytest.fixture
def config(config: dict[str, object], tmp_path: Path) -> dict[str, object]:
    """An application with a German catalogue of the test's own."""
    catalogue = Catalog(locale="de")
    for english, german in CATALOGUE.items():
        catalogue.add(english, german)
    folder = tmp_path / "translations/de/LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "messages.mo").open("wb") as stream:
        write_mo(stream, catalogue)
    return {**config, "BABEL_TRANSLATION_DIRECTORIES": str(tmp_path / "translations")}


@pytest.fixture
def odd() -> Sentence:
    return say("This looks odd: %(reason)s.", reason=say("it is noise"))


def test_a_sentence_is_english_text(odd: Sentence) -> None:
    assert odd == "This looks odd: it is noise."
    assert json.dumps([odd]) == '["This looks odd: it is noise."]'
    assert say("2% are enough.") == "2% are enough."
    assert together(["One.", "Two."]) == "One. Two."


def test_a_copy_is_a_sentence_too(odd: Sentence) -> None:
    for again in (copy.deepcopy(odd), pickle.loads(pickle.dumps(odd))):
        assert (again, again.template, again.values) == (odd, odd.template, odd.values)


def test_an_error_keeps_its_sentence() -> None:
    with pytest.raises(ImageTooLarge) as caught:
        check_size(100_000, 20_000)
    assert caught.value.sentence == str(caught.value)
    assert caught.value.sentence.values == {"width": 100_000, "height": 20_000, "megapixels": 120}
    assert TooManyAttempts(90).sentence.values == {"minutes": 2}


def test_a_refusal_keeps_those_of_all_files(app: Flask, odd: Sentence) -> None:
    refusal = IntakeRefused(
        [Problem("one.png", odd, UnreadableImage), Problem("", say("The picture is empty."), UnreadableImage)]
    )
    assert str(refusal) == "one.png: This looks odd: it is noise.\nThe picture is empty."
    with app.test_request_context(headers=GERMAN):
        assert (
            translated(refusal.sentence) == "one.png: Das sieht seltsam aus: es rauscht.\nDas Bild ist leer."
        )


def test_what_no_catalogue_has_stays_as_it_is(app: Flask, odd: Sentence) -> None:
    with app.test_request_context(headers=GERMAN):
        assert [translated(said) for said in ("", "100% new", say("New: %(reason)s.", reason=odd))] == [
            "",
            "100% new",
            "New: Das sieht seltsam aus: es rauscht..",
        ]


@pytest.fixture
def stored(app: Flask, odd: Sentence) -> Flask:
    """A stored exam of one image with three warnings, the last as it was stored formerly."""
    make_user(app)
    warnings = [odd, say(LOW, width=160, height=200), "The picture is empty."]
    image = Image(id="a" * 32, position=0, filename="one.png", source="PNG", category="4", warnings=warnings)
    image.probabilities, image.width, image.height = {"4": 0.75, "1": 0.25}, 160, 200
    with app.app_context(), writing() as current:
        reader = current.query(User).one()
        exam = Exam(id=EXAM, uploader_id=reader.id, model="m", demonstration=True, images=[image])
        exam.failure = together([odd, say("The picture is empty.")])
        current.add(exam)
    return app


def test_the_database_gives_sentences_back(stored: Flask, odd: Sentence) -> None:
    with stored.app_context():
        exam = exams.get(EXAM)
        first, second, third = exam.images[0].warnings
        assert first == odd and isinstance(first.values["reason"], Sentence)
        assert second.values == {"width": 160, "height": 200}
        assert type(third) is str
        assert exam.failure.values == {"s1": odd, "s2": "The picture is empty."}


def test_rows_of_plain_text_stay_readable(stored: Flask) -> None:
    with stored.app_context():
        with writing() as current:
            current.execute(text("UPDATE exams SET failure = 'It was cut off.'"))
            current.execute(text("""UPDATE images SET warnings = '["It is small."]'"""))
        session().expire_all()
        exam = exams.get(EXAM)
        assert (exam.failure, exam.images[0].warnings) == ("It was cut off.", ["It is small."])


def test_pages_speak_the_readers_language_and_the_api_english(stored: Flask, client: FlaskClient) -> None:
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
        "Low resolution (160 x 200 pixels): small calcifications cannot be seen.",
    ]


def test_errors_are_translated_too(stored: Flask, client: FlaskClient) -> None:
    sign_in(client)
    assert "Diese Untersuchung gibt es nicht." in client.get("/exams/none", headers=GERMAN).text
    key = {**bearer(make_token(stored)), **GERMAN}
    answer = client.get("/api/v1/predictions/none", headers=key)
    assert answer.json["error"] == "There is no such exam. It may have been deleted."


def test_what_is_wrong_with_a_file_is_translated_and_its_name_is_not(
    stored: Flask, client: FlaskClient
) -> None:
    sign_in(client)
    damaged = {"files": [(io.BytesIO(b"PK\x03\x04"), "<b>it is noise.zip")]}
    answer = client.post("/upload", data=damaged, headers=GERMAN)
    assert answer.status_code == 422
    assert "Das Archiv &lt;b&gt;it is noise.zip ist beschädigt." in answer.text


# ---- every sentence can be gathered, and every error has one


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
    """Tell a literal, and what is put together from one, from a variable and a sentence."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr in {"format", "join"}
    literal = isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != ""
    return literal or isinstance(node, ast.JoinedStr | ast.BinOp)


def _offences(tree: ast.AST, errors: set[str]) -> Iterator[str]:
    for name, call in _calls(tree):
        if name in errors and any(map(_is_text, call.args)):
            yield f"line {call.lineno}: the message of {name} is not made with say()"
        if name != "say" or isinstance(call.args[0], ast.Name):
            continue  # a name is that of a text in N_(), which is gathered there
        if not isinstance(call.args[0], ast.Constant):
            yield f"line {call.lineno}: the template cannot be gathered from the source"
        elif set(re.findall(r"%\((\w+)\)", call.args[0].value)) != {key.arg for key in call.keywords}:
            yield f"line {call.lineno}: template and values differ in their names"


def test_every_error_has_a_sentence_that_can_be_translated() -> None:
    errors = _domain_errors() | {"Problem"}
    assert {"UnreadableImage", "NotFound", "TwoPatients", "IntakeRefused"} <= errors
    found = [f"{path}, {offence}" for path, tree in _trees() for offence in _offences(tree, errors)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "raise NotFound('There is none.')",
        "raise NotFound(f'There is no {name}.') from None",
        "error = NotFound('There is no ' + name)",
        "raise NotFound('There is no {}.'.format(name))",
        "class NotFound(BiradsError):\n def __init__(self):\n  super().__init__('There is none.')",
        "raise NotFound(say(f'There is no {name}.'))",
        "raise NotFound(say('There is no %(name)s.', nmae=name))",
        "raise NotFound(say('There is no %(name)s.'))",
    ],
)
def test_it_catches_one_that_has_none(source: str) -> None:
    assert list(_offences(ast.parse(source), {"NotFound"}))


@pytest.mark.parametrize(
    "source", ["raise NotFound(say('There is no %(name)s.', name=name))", "raise NotFound(error.sentence)"]
)
def test_it_lets_the_right_way_pass(source: str) -> None:
    assert not list(_offences(ast.parse(source), {"NotFound"}))
