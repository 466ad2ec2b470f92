"""Creation of the first administrator, once, by a token printed on the server's console."""

import hmac
import secrets

from sqlalchemy import delete, exists, select

from birads_app.records import audit_log, users
from birads_app.records.database import session, writing
from birads_app.records.errors import InvalidAccount
from birads_app.records.schema import Role, User
from birads_app.records.secret_digest import digest
from birads_app.records.sign_in_tables import SetupToken
from birads_app.terms.messages import msg


def is_open() -> bool:
    """Return True until there is an account."""
    return not users.any_exist()


def issue() -> str:
    """Create the token for the set-up page; earlier tokens become invalid."""
    token = secrets.token_hex(16)
    with writing() as current:
        current.merge(SetupToken(id=1, digest=digest(token)))
    return token


def accepts(token: str) -> bool:
    """Return True for the token that was printed last."""
    stored = session().scalar(select(SetupToken.digest))
    return stored is not None and hmac.compare_digest(stored, digest(token.strip()))


def create_administrator(name: str, password: str) -> User:
    """Create the first account and close the set-up; raise InvalidAccount, also if there is an account already."""
    user = users.draft(name, password, Role.ADMIN)
    with writing() as current:
        if current.scalar(select(exists().where(users.is_person()))):
            raise InvalidAccount(msg("administrator-exists"))
        current.add(user)
        audit_log.add(current, user.name, "create account", user.name, user.role)
        current.execute(delete(SetupToken))
    return user
