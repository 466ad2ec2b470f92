"""Accounts with their passwords and roles."""

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import ColumnElement, delete, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from birads_app.records import audit_log, password_rules, user_sessions
from birads_app.records.credential_tables import Token
from birads_app.records.database import session, writing
from birads_app.records.errors import AccountNameTaken, InvalidAccount, LastAdministrator, NotFound
from birads_app.records.schema import Role, User
from birads_app.terms.messages import msg

# Name in the audit log for actions by commands on the server.
CONSOLE = "console"
# Name in the audit log for changes that follow the identity provider.
PROVIDER = "sign-on (automatic)"
# Name in the audit log for whoever has not signed in.
UNKNOWN = "unknown account"
_NAME = re.compile(r"[^\W_](?:[\w .@-]{0,62}[\w.])?")
# Most characters of a full name and of a title.
SIGNATURE_MAX = 64
# Account of exams received over the network: no person can have its name, and no password matches its hash.
NETWORK_NAME, _NO_PASSWORD = "PACS (automatic)", "!"
# In place of the hash of a person who signs on at the identity provider only.
_SIGN_ON_ONLY = "!sign-on"
# 32 MiB limit a worker's memory when several people sign in at once; three passes compensate for it.
_HASHER = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)


def create(name: str, password: str, role: str, by: str = CONSOLE) -> User:
    """Create an account and log it; ``by`` is the name of the creator.

    Raises
    ------
    InvalidAccount
        The name, password or role is not allowed.
    AccountNameTaken
        Another account has this name, ignoring case.
    """
    user = draft(name, password, role)
    try:
        with writing() as current:
            current.add(user)
            audit_log.add(current, by, "create account", name, role)
    except IntegrityError:
        raise AccountNameTaken(msg("account-name-taken", name=name)) from None
    return user


def draft(name: str, password: str, role: str) -> User:
    """Create an account without storing it; raise InvalidAccount."""
    _check_name(name)
    _check_role(role)
    return User(
        name=name, role=role, password_hash=_hash(password, name), session_key=user_sessions.new_key()
    )


def draft_without_password(name: str, role: str) -> User:
    """Create an account of a person who signs on at the identity provider, without storing it; errors as above."""
    check_new_name(name)
    if name.casefold() in (CONSOLE, UNKNOWN):
        raise AccountNameTaken(msg("account-name-taken", name=name))
    return User(name=name, role=role, password_hash=_SIGN_ON_ONLY, session_key=user_sessions.new_key())


def has_password(user: User) -> bool:
    """Return True if the account can sign in with a password."""
    return user.password_hash != _SIGN_ON_ONLY


def check_new_name(name: str) -> None:
    """Raise InvalidAccount or AccountNameTaken if a new account cannot have this name."""
    _check_name(name)
    if session().scalar(select(exists().where(User.name == name))):
        raise AccountNameTaken(msg("account-name-taken", name=name))


def change_role(user: User, role: str, by: str = CONSOLE, session_id: str = "") -> None:
    """Change an account's role and end its sessions, except for the one in which somebody changes their own role.

    Raises
    ------
    InvalidAccount
        There is no such role.
    LastAdministrator
        No active administrator would be left.
    """
    _check_role(role)
    with _changing(user, by, "change role", f"{user.role} to {role}") as (current, kept):
        kept.role = role
        user_sessions.end_all(current, kept, keep=session_id)
        _leave_an_administrator(current)


def deactivate(user: User, by: str = CONSOLE) -> None:
    """Deactivate an account and end its sessions; raise LastAdministrator."""
    with _changing(user, by, "switch account off") as (current, kept):
        kept.enabled = False
        user_sessions.end_all(current, kept)
        _leave_an_administrator(current)


def end_sessions(user: User, by: str = CONSOLE) -> None:
    """End all sessions of an account."""
    with _changing(user, by, "end sessions") as (current, kept):
        user_sessions.end_all(current, kept)


def activate(user: User, by: str = CONSOLE) -> None:
    """Reactivate an account."""
    with _changing(user, by, "switch account on") as (_, kept):
        kept.enabled = True


def set_password(user: User, password: str, by: str = CONSOLE) -> User:
    """Change the password, end all sessions and revoke all tokens; raise InvalidAccount if it is not allowed."""
    hashed = _hash(password, user.name)
    with _changing(user, by, "set password") as (current, kept):
        kept.password_hash = hashed
        user_sessions.end_all(current, kept)
        current.execute(delete(Token).where(Token.user_id == kept.id))
    return kept


def set_signature(user: User, full_name: str, title: str, by: str = CONSOLE) -> None:
    """Set full name and title under an account's future reports; raise InvalidAccount if one is not allowed."""
    full_name, title = (" ".join(text.split()) for text in (full_name, title))
    for text in (full_name, title):
        # Carets, equals signs and backslashes separate parts of names in DICOM.
        if len(text) > SIGNATURE_MAX or not text.isprintable() or set(text) & set("^=\\"):
            raise InvalidAccount(msg("signature-invalid", most=SIGNATURE_MAX))
    with _changing(user, by, "set signature") as (_, kept):
        kept.full_name, kept.title = full_name, title


def people() -> Sequence[User]:
    """Return the accounts of people, by name."""
    return session().scalars(select(User).where(is_person()).order_by(User.name)).all()


def by_id(user_id: int) -> User:
    """Return a person's account; raise NotFound if there is none."""
    user = session().scalar(select(User).where(User.id == user_id, is_person()))
    if user is None:
        raise NotFound(msg("account-missing"))
    return user


def by_name(name: str) -> User:
    """Return the account with this name; raise NotFound if there is none."""
    user = session().scalar(select(User).where(User.name == name))
    if user is None:
        raise NotFound(msg("account-name-unknown", name=name))
    return user


def id_of(name: str) -> int | None:
    """Return the number of the account with this name; None if there is none."""
    return session().scalar(select(User.id).where(User.name == name))


def network_account() -> User:
    """Return the account that owns exams from the network, created on first use. Nobody can sign in to it."""
    query = select(User).where(User.name == NETWORK_NAME)
    with writing() as current:
        user = current.scalar(query)
        if user is None:
            user = User(name=NETWORK_NAME, role=Role.RADIOLOGIST, password_hash=_NO_PASSWORD)
            user.session_key = user_sessions.new_key()
            current.add(user)
    return user


def set_language(user: User, code: str) -> None:
    """Store the account's language for pages."""
    with writing() as current:
        current.execute(update(User).where(User.id == user.id).values(language=code))


def name_on_record(name: str) -> str:
    """Return the name of an existing account, else "unknown account", because the text entered may be a password."""
    return session().scalar(select(User.name).where(User.name == name)) or UNKNOWN


def is_person() -> ColumnElement[bool]:
    """Return the query condition that an account is a person's."""
    return User.password_hash != _NO_PASSWORD


def readers() -> Sequence[str]:
    """Return the names of all accounts that can assess exams."""
    wanted = select(User.name).where(is_person(), User.role != Role.AUDITOR).order_by(User.name)
    return session().scalars(wanted).all()


def administrators() -> Sequence[str]:
    """Return the names of all active administrators."""
    wanted = select(User.name).where(is_person(), User.role == Role.ADMIN, User.enabled).order_by(User.name)
    return session().scalars(wanted).all()


def any_exist() -> bool:
    """Return True once a person has an account."""
    return bool(session().scalar(select(exists().where(is_person()))))


def authenticate(name: str, password: str) -> User | None:
    """Return the account if the password is right, else None; takes as long for unknown names."""
    user = session().scalar(select(User).where(User.name == name))
    known = user.password_hash if user and has_password(user) else _decoy()
    forms = {password_rules.normalized(password), password}  # earlier versions hashed what was typed
    matches = any(_verify(known, form[: password_rules.PASSWORD_MAX + 1]) for form in forms)
    return user if matches and user and user.enabled else None


def _verify(known: str, password: str) -> bool:
    try:
        return _HASHER.verify(known, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _decoy() -> str:
    """Return the hash of a password that nobody has."""
    return _HASHER.hash(secrets.token_hex(32))


@contextmanager
def _changing(user: User, by: str, action: str, detail: str = "") -> Iterator[tuple[Session, User]]:
    """Open a transaction with the account, and log the change."""
    with writing() as current:
        # Its current state, which may have changed since the request began.
        stored = current.get(User, user.id)
        if stored is None:
            raise NotFound(msg("account-missing"))
        yield current, stored
        audit_log.add(current, by, action, user.name, detail)


def _leave_an_administrator(current: Session) -> None:
    """Raise LastAdministrator if this transaction would leave no active administrator."""
    current.flush()
    if not current.scalar(select(exists().where(is_person(), User.enabled, User.role == Role.ADMIN))):
        raise LastAdministrator(msg("last-administrator"))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidAccount(msg("account-name-invalid"))


def _check_role(role: str) -> None:
    if role not in list(Role):
        raise InvalidAccount(msg("role-unknown", roles=", ".join(Role), role=repr(role)))


def _hash(password: str, name: str) -> str:
    """Return the hash of a password that the account with this name may have; raise InvalidAccount."""
    password = password_rules.normalized(password)
    password_rules.check(password, name)
    return _HASHER.hash(password)
