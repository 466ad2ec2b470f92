"""Passwords that an account may have: length counts, composition does not; common and obvious ones are refused.

The common ones ship as a Bloom filter of 1.4 million passwords of at least 12 characters, made by
``tests/support/common_passwords.py``: it knows each of them, and takes
one in a thousand other passwords for common, too.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

from birads_app.records.errors import InvalidAccount
from birads_app.terms.messages import msg

PASSWORD_MIN, PASSWORD_MAX = 12, 256
FILTER = Path(__file__).with_name("common_passwords.bloom")
# Bits for each password and hashes for each look-up: one false alarm in a thousand.
_BITS, _HASHES = 14.4, 10
# Words of the context that an attacker tries first.
CONTEXT_WORDS = (
    "administrator",
    "bi-rads",
    "birads",
    "breast",
    "hospital",
    "kennwort",
    "klinik",
    "krankenhaus",
    "mammografie",
    "mammographie",
    "mammography",
    "mammo",
    "password",
    "passwort",
    "radiologie",
    "radiologist",
    "radiology",
    "reader",
)
# Characters that have to remain besides such words.
_OWN_CHARACTERS = 8
# Characters of a part of the account's name that counts as a word.
_NAME_PART = 4
# Different characters of a password.
_DIFFERENT = 5
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "yxcvbnm",
    "zxcvbnm",
)


def normalized(password: str) -> str:
    """Return the password in the form that is hashed: NFC, in which all keyboards' ways to type a letter are equal."""
    return unicodedata.normalize("NFC", password)


def check(password: str, account: str) -> None:
    """Raise InvalidAccount if an account with this name cannot have this password.

    Parameters
    ----------
    password : normalized
    """
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise InvalidAccount(msg("password-length", least=PASSWORD_MIN, most=PASSWORD_MAX))
    lower = password.lower()
    if _is_common(lower) or len(set(lower)) < _DIFFERENT or _is_sequence(lower):
        raise InvalidAccount(msg("password-common"))
    if len(_own_part(lower, account.lower())) < _OWN_CHARACTERS:
        raise InvalidAccount(msg("password-obvious"))


def bloom_filter(passwords: Collection[str]) -> bytes:
    """Return a Bloom filter of passwords in lower case."""
    bits = bytearray(int(len(passwords) * _BITS) // 8 + 1)
    for password in passwords:
        for place in _places(password, len(bits) * 8):
            bits[place // 8] |= 1 << place % 8
    return bytes(bits)


def _is_common(password: str) -> bool:
    """Return True if the filter knows the password, in lower case."""
    bits = FILTER.read_bytes()
    return all(bits[place // 8] >> place % 8 & 1 for place in _places(password, len(bits) * 8))


def _places(password: str, count: int) -> list[int]:
    """Return the bits of a password among the given number of bits."""
    digest = hashlib.sha256(password.encode()).digest()
    first, step = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big") | 1
    return [(first + number * step) % count for number in range(_HASHES)]


def _is_sequence(password: str) -> bool:
    """Return True for a repeated part, and for pieces of at least four neighbouring keys or letters."""
    if re.fullmatch(r"(.+?)\1+", password) and not re.fullmatch(r"(.{8,}?)\1+", password):
        return True
    rest = password
    for row in (*_ROWS, *(row[::-1] for row in _ROWS)):
        for size in range(len(row), 3, -1):
            for start in range(len(row) - size + 1):
                rest = rest.replace(row[start : start + size], "")
    return len(rest) < _OWN_CHARACTERS // 2


def _own_part(password: str, account: str) -> str:
    """Return what remains of a password without words of the context and parts of the account's name.

    Digits and signs beside such a word do not count either, because everybody adds them.
    """
    parts = [part for part in (account, *re.split(r"[\W_]+", account)) if len(part) >= _NAME_PART]
    rest = password
    for word in sorted({*parts, *CONTEXT_WORDS}, key=len, reverse=True):
        rest = rest.replace(word, "")
    return password if rest == password else re.sub(r"[\W\d_]+", "", rest)
