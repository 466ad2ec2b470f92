"""Passwords: length counts, composition does not; common and obvious ones are refused."""

import random
import string
import unicodedata

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.records import password_rules, users
from birads_app.records.database import writing
from birads_app.records.errors import InvalidAccount
from birads_app.records.schema import Role, User
from tests.support.factories import PASSWORD, make_user, sign_in


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "kangaroo tuba",
        "nur kleinbuchstaben",
        "tja wer weiß das schon",
        "ワンダフルな朝ご飯を食べた",
        "🦘🎺🧵🪴🦔🍄🎻🧲🪁🥁🧶🦩",
        "x7$kq" + "é" * 3 + "pplw" * 60,
        "8301947265513",
        "a reader of old novels",
    ],
)
def test_any_characters_are_allowed(password: str) -> None:
    password_rules.check(password_rules.normalized(password), "anna")


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("kangaroo tub", None),
        ("kangaroo tu", "password-length"),
        ("k" * 257, "password-length"),
        ("iloveyou1234", "password-common"),
        ("IloveYOU1234", "password-common"),
        ("correcthorsebatterystaple", "password-common"),
        ("123456789012", "password-common"),
        ("qwertyuiop[]", "password-common"),
        ("aaaaaaaaaaaab", "password-common"),
        ("xyzxyzxyzxyzxyz", "password-common"),
        ("asdfghjkl1234", "password-common"),
        ("BI-RADS reader!", "password-obvious"),
        ("Mammography!2026", "password-obvious"),
        ("Passwort-7391", "password-obvious"),
        ("Berta.Schmidt.1987", "password-obvious"),
        ("schmidt-2026-xy", "password-obvious"),
    ],
)
def test_short_common_and_obvious_ones_are_refused(password: str, reason: str | None) -> None:
    if reason is None:
        password_rules.check(password, "berta schmidt")
        return
    with pytest.raises(InvalidAccount) as caught:
        password_rules.check(password, "berta schmidt")
    assert caught.value.message.code == reason


def test_the_list_ships_and_has_few_false_alarms() -> None:
    assert password_rules.FILTER.stat().st_size > 3000 * password_rules._BITS / 8
    source = random.Random(7)
    made = ("".join(source.choices(string.ascii_letters, k=14)) for _ in range(500))
    assert sum(password_rules._is_common(password.lower()) for password in made) < 5


def test_a_filter_knows_its_passwords() -> None:
    known = {f"password number {number}" for number in range(500)}
    bits = password_rules.bloom_filter(known)
    places = [password_rules._places(password, len(bits) * 8) for password in known]
    assert all(bits[place // 8] >> place % 8 & 1 for some in places for place in some)


def test_a_letter_may_be_typed_in_either_form(app: Flask, client: FlaskClient) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Größere Möhren essen") for form in ("NFC", "NFD"))
    with app.app_context():
        users.create("anna", decomposed, Role.RADIOLOGIST)
        for typed in (composed, decomposed):
            assert users.authenticate("anna", typed)
        assert users.authenticate("anna", composed.upper()) is None
        assert users.authenticate("anna", f"{composed} ") is None
        with writing() as current:  # as stored by an earlier version
            current.query(User).one().password_hash = users._HASHER.hash(decomposed)
        assert users.authenticate("anna", decomposed)


def test_pages_say_why_a_password_is_refused(app: Flask, client: FlaskClient) -> None:
    make_user(app, "chief", Role.ADMIN)
    make_user(app)
    sign_in(client, "chief")
    with app.app_context():
        reader = users.by_name("reader").id
    weak = {"password": "iloveyou1234", "confirm": "iloveyou1234"}
    for address, form in (
        ("/account/password", {"current": PASSWORD, **weak}),
        (f"/admin/accounts/{reader}/password", weak),
        ("/admin/accounts", {"name": "berta", "role": Role.RADIOLOGIST, **weak}),
    ):
        answer = client.post(address, data=form)
        assert answer.status_code == 422, address
        assert "This password is too common" in answer.text
