"""Assessments: validation, immutability, order, effect on the exam's status."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError, OperationalError

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import (
    amendments,
    assessments,
    audit_log,
    blinding,
    database,
    exams,
    signed_assessments,
    users,
)
from birads_app.records.amendments import Amendment
from birads_app.records.assessments import Draft
from birads_app.records.errors import InvalidAssessment, NotFound, SignatureFinal
from birads_app.records.findings import Finding, from_json, labelled_terms
from birads_app.records.reading_tables import Withdrawal
from birads_app.records.schema import Assessment, Exam, Image, Role, Status, User

BOTH = {"R": "1", "L": "4A"}


@pytest.fixture
def inside(app: Flask) -> Iterator[Flask]:
    """Return the application with two readers, in its context."""
    with app.app_context():
        with database.writing() as current:
            for name in ("anna", "berta"):  # nobody signs in here, so no password is worth its time
                current.add(User(name=name, role=Role.RADIOLOGIST, password_hash="!", session_key=name))
        yield app


@pytest.fixture
def anna(inside: Flask) -> User:
    return users.by_name("anna")


@pytest.fixture
def berta(inside: Flask) -> User:
    return users.by_name("berta")


def stored(number: int = 0, sides: str = "RL", **columns: object) -> Exam:
    """A recorded exam with an image of each side; ``?`` is an unknown one."""
    reader = users.by_name("anna")
    exam = Exam(id=f"{number:032}", uploader_id=reader.id, model="m", demonstration=False, **columns)
    for position, side in enumerate(sides):
        exam.images.append(
            Image(
                id=f"{number:016}{position:016}", position=position, filename="a", source="PNG",
                view="CC", laterality=None if side == "?" else side,
                prediction=ImagePrediction("2", {"2": 1.0}), width=10, height=20,
            )
        )  # fmt: skip
    with database.writing() as current:
        current.add(exam)
    return exams.get(exam.id)


def test_a_signed_assessment_sets_the_exam_to_read(anna: User) -> None:
    exam = stored(category="3")
    made = assessments.add(exam.id, anna, Draft(BOTH, "B", text=" As before. ", signed=True))
    assert (made.right, made.left, made.overall, made.density) == ("1", "4A", "4A", "B")
    assert (made.text, made.model, made.model_category, made.reader.name) == ("As before.", "m", "3", "anna")
    database.session().expire_all()
    found = exams.get(exam.id)
    assert (found.status, found.assessed, found.assessor_id) == (Status.READ, "4A", anna.id)
    assert found.assessed_at == made.at
    entry = audit_log.newest(1)[0]
    assert (entry.who, entry.action, entry.subject) == ("anna", "sign assessment", exam.id)


def test_a_draft_changes_no_status_and_may_be_incomplete(anna: User) -> None:
    exam = stored()
    assert assessments.add(exam.id, anna, Draft(text="To be gone on with.")).overall == ""
    database.session().expire_all()
    assert exams.get(exam.id).status == Status.NEW and exams.get(exam.id).assessed is None


def test_a_second_look_ends_with_an_assessment_that_does_not_request_one(anna: User, berta: User) -> None:
    exam = stored()
    for reader, wanted, status in (
        (anna, True, Status.SECOND_LOOK),
        (berta, False, Status.READ),
        (berta, True, Status.SECOND_LOOK),
        (berta, False, Status.READ),
    ):
        assessments.add(exam.id, reader, Draft(BOTH, signed=True, second_look=wanted))
        database.session().expire_all()
        assert exams.get(exam.id).status == status


def test_a_stored_assessment_is_immutable(anna: User) -> None:
    exam = stored()
    assessments.add(exam.id, anna, Draft(BOTH, signed=True))
    with (
        pytest.raises((IntegrityError, OperationalError), match="only added to"),
        database.writing() as current,
    ):
        current.execute(update(Assessment).values(overall="1"))
    assessments.add(exam.id, anna, Draft({"R": "1", "L": "1"}))
    newest, oldest = assessments.history(exam)
    assert (oldest.overall, newest.overall) == ("4A", "1")
    assert assessments.newest(exam) is oldest  # what is signed counts
    assert assessments.newest(exam, anna) is newest
    with database.writing() as current:
        current.execute(delete(Exam).where(Exam.id == exam.id))
    assert not assessments.history(exam)


def test_concurrent_signatures_are_both_stored(inside: Flask, anna: User, berta: User) -> None:
    exam = stored()
    together, rounds = threading.Barrier(2), 10

    def sign(reader: User) -> None:
        with inside.app_context():
            for number in range(rounds):
                together.wait()
                assessments.add(exam.id, reader, Draft(BOTH, text=f"{number}", signed=True))

    threads = [threading.Thread(target=sign, args=(reader,)) for reader in (anna, berta)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = assessments.history(exam)[::-1]
    for reader in (anna, berta):
        assert [each.text for each in found if each.reader_id == reader.id] == [*map(str, range(rounds))]
    assert [each.at for each in found] == sorted(each.at for each in found)
    database.session().expire_all()
    last = exams.get(exam.id)
    assert (last.assessor_id, last.assessed_at) == (found[-1].reader_id, found[-1].at)
    assert assessments.signed_meanwhile(exam, anna, seen=0).reader_id == berta.id
    assert assessments.signed_meanwhile(exam, anna, seen=found[-1].id) is None


def test_each_breast_with_images_needs_a_category(inside: Flask) -> None:
    for number, (sides, offered, drafts) in enumerate(
        (
            ("RL", ("R", "L"), {"R": ("L",), "": ("R", "L")}),
            ("L", ("L",), {"L": (), "": ("L",)}),
            ("R?", ("R", "L"), {"L": ("R",), "R": ()}),
            ("?", ("R", "L"), {"L": (), "": ("R", "L")}),
        )
    ):
        exam = stored(number, sides)
        assert assessments.offered(exam) == offered
        for given, lacking in drafts.items():
            assert assessments.lacking(exam, dict.fromkeys(given, "1")) == lacking


def test_a_failed_exam_can_only_be_category_0(anna: User) -> None:
    exam = stored(sides="", status=Status.FAILED)
    with pytest.raises(InvalidAssessment):
        assessments.add(exam.id, anna, Draft(BOTH, signed=True))
    assessments.add(exam.id, anna, Draft({"R": "0", "L": "0"}, signed=True))
    database.session().expire_all()
    assert exams.get(exam.id).status == Status.READ


def test_an_invalid_assessment_is_refused_completely(anna: User) -> None:
    exam = stored()
    for draft, message in (
        (Draft({"R": "7"}), "Unknown value for category: '7'"),
        (Draft({"B": "1"}), "Unknown value for breast: 'B'"),
        (Draft(density="E"), "Unknown value for density: 'E'"),
        (Draft(text="x" * 4001), "at most 4000 characters"),
        (Draft(findings=[Finding("mass")] * 21), "20 findings"),
        (Draft(findings=[Finding("mass", image="f" * 32)]), "Unknown value for image: 'f{32}'"),
        (Draft(sections={"history": "x"}), "Unknown value for sections"),
        (Draft(sections={"indication": "x" * 1001}), "indication has 1001 characters"),
        (
            Draft(BOTH, findings=[Finding("mass", side="R", region="upper-outer", clock=2)], signed=True),
            "9–12",
        ),
        (Draft({"R": "1"}, signed=True), "Each breast needs a category before you can sign. Missing: L"),
    ):
        with pytest.raises(InvalidAssessment, match=message):
            assessments.add(exam.id, anna, draft)
    assert not assessments.history(exam) and not audit_log.newest()
    with pytest.raises(NotFound):
        assessments.add("f" * 32, anna, Draft())


@pytest.mark.parametrize(
    "members",
    [
        {"kind": "tumour"},
        {"kind": "mass", "descriptors": {"morphology": "rim"}},
        {"kind": "mass", "descriptors": {"shape": "square"}},
        {"kind": "mass", "associated": ["pain"]},
        {"kind": "mass", "side": "B"},
        {"kind": "mass", "clock": 13},
        {"kind": "mass", "depth": "deep"},
        {"kind": "mass", "size_mm": 0},
        {"kind": "mass", "nipple_mm": 251},
        {"kind": "mass", "x": 0.5, "y": 0.5},
        {"kind": "mass", "image": "i", "x": 0.5},
        {"kind": "mass", "image": "i", "x": 0.5, "y": 1.01},
    ],
)
def test_a_finding_is_in_the_lexicons_terms_and_inside_its_image(members: dict[str, object]) -> None:
    with pytest.raises(InvalidAssessment):
        Finding(**members)


def test_a_finding_is_stored_and_described() -> None:
    finding = Finding(
        "calcifications",
        {"morphology": "amorphous"},
        ["skin-retraction"],
        "R",
        "central",
        image="i",
        x=0.25,
        y=1.0,
    )
    assert from_json(finding.as_json()) == finding
    assert dict(labelled_terms(finding)) == {
        "Morphology": "Amorphous",
        "Side": "Right breast",
        "Quadrant": "Central",
        "Associated feature": "Skin retraction",
    }


def test_a_signature_can_be_withdrawn_by_its_reader_for_a_short_time_and_stays_on_record(
    anna: User, berta: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = stored()
    first = assessments.add(exam.id, anna, Draft(BOTH, signed=True))
    with pytest.raises(SignatureFinal):
        assessments.withdraw(exam.id, first.id, berta)
    assessments.withdraw(exam.id, first.id, anna)
    database.session().expire_all()
    (kept,) = assessments.history(exams.get(exam.id))
    assert kept.signature and not kept.signed and kept.overall == "4A"
    found = exams.get(exam.id)
    assert (found.status, found.assessed, found.assessed_at, found.assessor_id) == (
        Status.NEW,
        None,
        None,
        None,
    )
    assert len(signed_assessments.load().rows) == 0
    assert audit_log.newest(1)[0].action == "withdraw signature"
    with pytest.raises(SignatureFinal):  # twice
        assessments.withdraw(exam.id, first.id, anna)
    with (
        pytest.raises((IntegrityError, OperationalError), match="only added to"),
        database.writing() as current,
    ):
        current.execute(update(Withdrawal).values(at=kept.at))

    second = assessments.add(exam.id, berta, Draft({"R": "1", "L": "2"}, signed=True, second_look=True))
    third = assessments.add(exam.id, anna, Draft(BOTH, signed=True))
    assert len(signed_assessments.load().rows) == 2
    with pytest.raises(SignatureFinal):  # another has signed since
        assessments.withdraw(exam.id, second.id, berta)
    assessments.withdraw(exam.id, third.id, anna)
    database.session().expire_all()
    found = exams.get(exam.id)
    assert (found.status, found.assessed, found.assessor_id) == (Status.SECOND_LOOK, "2", berta.id)
    assert len(signed_assessments.load().rows) == 1
    monkeypatch.setattr(blinding, "UNDO_FOR", timedelta(0))
    with pytest.raises(SignatureFinal):  # too late
        assessments.withdraw(exam.id, second.id, berta)


def test_an_amendment_says_what_it_changes(anna: User, berta: User) -> None:
    exam = stored()
    add = partial(assessments.add, exam.id)
    withdrawn = add(anna, Draft({"R": "5", "L": "5"}, signed=True))
    assessments.withdraw(exam.id, withdrawn.id, anna)
    database.session().expire_all()
    mass = Finding("mass", {"shape": "oval"}, side="L")
    first = add(anna, Draft({"R": "1", "L": "2"}, "B", [mass], "Cyst.", signed=True, second_look=True))
    second = add(berta, Draft({"R": "1", "L": "2"}, signed=True))
    draft = add(berta, Draft({"R": "3"}))
    later = Draft(BOTH, "B", text="Cyst.", signed=True, sections={"indication": "Lump."})
    amended, again = add(berta, later), add(anna, later)
    history = assessments.history(exam)
    found = {one.id: amendments.of(one, history) for one in history}
    assert found[first.id] is found[second.id] is found[draft.id] is None  # the second is a second reading
    assert found[amended.id].replaced.id == second.id and found[again.id].changes == []
    assert [(one.part, one.before, one.after) for one in found[amended.id].changes] == [
        ("breasts.L", "2", "4A"),
        ("density", None, "B"),
        ("text", None, "Cyst."),
        ("sections.indication", None, "Lump."),
    ]
    changes = dict(amendments.labelled(Amendment(first, amendments.of(again, [again, first]).changes)))
    assert changes["Left breast"] == "BI-RADS 2 → BI-RADS 4A"
    assert changes["Findings"] == "Mass, Oval, Left breast → none"
    assert changes["Second reading requested"] == "yes → no"
