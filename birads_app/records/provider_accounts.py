"""Accounts of people who sign on at the identity provider.

An account belongs to a subject of an issuer, never to a name or an e-mail address: whoever gets the name of somebody
else at the provider gets nothing here.
"""

from contextlib import suppress

from sqlalchemy import delete, exists, select
from sqlalchemy.exc import IntegrityError

from birads_app.records import audit_log, users
from birads_app.records.credential_tables import ProviderAccount
from birads_app.records.database import session, writing
from birads_app.records.errors import AccountNameTaken, InvalidAccount, SignOnRefused
from birads_app.records.schema import User
from birads_app.records.users import CONSOLE
from birads_app.terms.messages import msg


def account_of(
    issuer: str, subject: str, name: str, role: str | None, may_create: bool, full_name: str = ""
) -> User:
    """Return the active account of a subject, with the role that the provider gives now.

    Parameters
    ----------
    name : of a new account
    full_name : for reports, if the account has none; left out if it cannot be written in DICOM objects
    role : None if the provider gives none
    may_create : create an account at the first sign-on

    Raises
    ------
    SignOnRefused
        The provider gives no role, the account is deactivated, or there is none and none can be created.
    LastAdministrator
        The role is another one now, and no active administrator would be left.
    """
    if role is None:
        raise SignOnRefused(msg("sign-on-no-role"))
    user = _known(issuer, subject)
    if user is None:
        if not may_create:
            raise SignOnRefused(msg("sign-on-no-account", subject=subject))
        user = users.by_id(_create(issuer, subject, name, role).id)
    if not user.enabled:
        raise SignOnRefused(msg("sign-on-deactivated"))
    if user.role != role:
        users.change_role(user, role, users.PROVIDER)
        session().refresh(user)
    if full_name and not user.full_name:
        with suppress(InvalidAccount):
            users.set_signature(user, full_name, user.title, users.PROVIDER)
        session().refresh(user)
    return user


def is_linked(user: User) -> bool:
    """Return True if somebody can sign on to the account at the provider."""
    return bool(session().scalar(select(exists().where(ProviderAccount.user_id == user.id))))


def link(user: User, issuer: str, subject: str, by: str = CONSOLE) -> None:
    """Let a subject of the provider sign on to an existing account; raise InvalidAccount if it has one."""
    try:
        with writing() as current:
            current.add(ProviderAccount(user_id=user.id, issuer=issuer, subject=subject))
            audit_log.add(current, by, "link sign-on", user.name, subject)
    except IntegrityError:
        raise InvalidAccount(msg("sign-on-linked-already", subject=subject)) from None


def unlink(user: User, by: str = CONSOLE) -> None:
    """End the sign-on to an account; its sessions end as well."""
    with writing() as current:
        current.execute(delete(ProviderAccount).where(ProviderAccount.user_id == user.id))
        audit_log.add(current, by, "unlink sign-on", user.name)
    users.end_sessions(user, by)


def _known(issuer: str, subject: str) -> User | None:
    same = (ProviderAccount.issuer == issuer) & (ProviderAccount.subject == subject)
    return session().scalar(
        select(User).join(ProviderAccount, ProviderAccount.user_id == User.id).where(same)
    )


def _create(issuer: str, subject: str, name: str, role: str) -> User:
    """Create an account that has no password."""
    try:
        user = users.draft_without_password(name, role)
        with writing() as current:
            current.add(user)
            current.flush()
            current.add(ProviderAccount(user_id=user.id, issuer=issuer, subject=subject))
            audit_log.add(current, users.PROVIDER, "create account", name, role)
    except InvalidAccount as error:
        raise SignOnRefused(error.message) from None
    except (IntegrityError, AccountNameTaken):
        raise SignOnRefused(msg("sign-on-name-taken", name=name)) from None
    return user
