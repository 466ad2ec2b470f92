"""Two-step verification: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for a lost phone."""

import base64
import hmac
import secrets
import threading
from collections.abc import Sequence

import pyotp
from flask import current_app
from sqlalchemy import delete, exists, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from birads_app.records import audit_log
from birads_app.records.credential_tables import Authenticator, RecoveryCode
from birads_app.records.database import session, writing
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import InvalidAccount
from birads_app.records.schema import Role, User, now
from birads_app.records.secret_digest import digest
from birads_app.records.users import CONSOLE
from birads_app.records.write_failures import is_unwritable
from birads_app.terms.messages import msg

ISSUER = "BI-RADS reader"
STEP_S, DIGITS = 30, 6
# Steps by which the phone's clock may be wrong, in either direction.
DRIFT = 1
RECOVERY_CODES, _RECOVERY_BYTES, _GROUP = 10, 15, 6
CODE_MAX = 64
_PURPOSE = "birads authenticators"
# Steps of the codes that this process has accepted, by digest of the secret, for times when they cannot be stored.
_last_steps: dict[str, int] = {}
_one_check = threading.Lock()


def is_on(user: User) -> bool:
    """Return True if the account's sign-in asks for a code."""
    confirmed = (Authenticator.user_id == user.id) & Authenticator.confirmed_at.is_not(None)
    return bool(session().scalar(select(exists().where(confirmed))))


def is_missing(user: User) -> bool:
    """Return True if the site requires two-step verification of this account, and it is not set up."""
    policy = current_app.extensions["birads_settings"].totp_required
    required = policy == "everybody" or (policy == "administrators" and user.role == Role.ADMIN)
    return required and not is_on(user)


def begin(user: User) -> str:
    """Create a secret for an authenticator app, in base32; it counts once :func:`confirm` has seen a code.

    Raises
    ------
    InvalidAccount
        Two-step verification is on already.
    """
    secret = pyotp.random_base32()
    with writing() as current:
        kept = current.get(Authenticator, user.id)
        if kept is not None and kept.confirmed_at is not None:
            raise InvalidAccount(msg("two-step-is-on"))
        current.merge(Authenticator(user_id=user.id, secret=_encrypted(secret, user), last_step=0))
    return secret


def unconfirmed_secret(user: User) -> str | None:
    """Return the secret that is being set up, in base32; None if there is none."""
    kept = session().get(Authenticator, user.id)
    return _decrypted(kept, user) if kept is not None and kept.confirmed_at is None else None


def uri(secret: str, user: User) -> str:
    """Return the address that authenticator apps read from a QR code."""
    return pyotp.TOTP(secret, name=user.name, issuer=ISSUER).provisioning_uri()


def confirm(user: User, code: str) -> Sequence[str]:
    """Turn two-step verification on if the code is right; return the recovery codes, none if it is wrong."""
    with writing() as current:
        kept = current.get(Authenticator, user.id)
        if kept is None or kept.confirmed_at is not None or not _takes(kept, user, _normal(code)):
            return ()
        kept.confirmed_at = now()
        audit_log.add(current, user.name, "set up two-step verification", user.name)
        return _new_recovery_codes(current, user)


def accepts(user: User, code: str) -> bool:
    """Return True for a current code of the app or a recovery code; either is accepted once.

    While the database cannot be written, no recovery code is accepted, and this process remembers the app's.
    """
    entered = _normal(code)
    try:
        with writing() as current:
            return _accepts(current, user, entered)
    except OperationalError as error:
        if not is_unwritable(error):
            raise
    with _one_check:
        kept = session().get(Authenticator, user.id)
        if kept is None or kept.confirmed_at is None or not _takes(kept, user, entered):
            return False
        _last_steps[digest(_decrypted(kept, user))] = kept.last_step
        return True


def recovery_codes_left(user: User) -> int:
    """Return the number of unused recovery codes."""
    own = RecoveryCode.user_id == user.id
    return session().scalar(select(func.count()).select_from(RecoveryCode).where(own)) or 0


def renew_recovery_codes(user: User) -> Sequence[str]:
    """Replace all recovery codes and return the new ones, which cannot be shown again."""
    with writing() as current:
        audit_log.add(current, user.name, "renew recovery codes", user.name)
        return _new_recovery_codes(current, user)


def remove(user: User, by: str = CONSOLE) -> None:
    """Turn two-step verification off; ``by`` is the name of the account that does it."""
    with writing() as current:
        current.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
        current.execute(delete(Authenticator).where(Authenticator.user_id == user.id))
        audit_log.add(current, by, "remove two-step verification", user.name)


def _accepts(current: Session, user: User, entered: str) -> bool:
    kept = current.get(Authenticator, user.id)
    if kept is None or kept.confirmed_at is None:
        return False
    if len(entered) == DIGITS:
        return _takes(kept, user, entered)
    same = (RecoveryCode.user_id == user.id) & (RecoveryCode.digest == digest(entered))
    found = current.scalar(select(RecoveryCode).where(same))
    if found is None:
        return False
    current.delete(found)
    audit_log.add(current, user.name, "use recovery code", user.name)
    return True


def _takes(kept: Authenticator, user: User, entered: str) -> bool:
    """Return True for the code of the current time step, or of one beside it; none but later ones are taken again."""
    if not (len(entered) == DIGITS and entered.isascii() and entered.isdigit()):
        return False
    secret = _decrypted(kept, user)
    last_step = max(kept.last_step, _last_steps.get(digest(secret), 0))
    current_step = int(now().timestamp()) // STEP_S
    for step in range(max(current_step - DRIFT, last_step + 1), current_step + DRIFT + 1):
        if hmac.compare_digest(pyotp.TOTP(secret).generate_otp(step), entered):
            kept.last_step = step
            return True
    return False


def _new_recovery_codes(current: Session, user: User) -> Sequence[str]:
    current.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = [
        base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)
    ]
    current.add_all(RecoveryCode(user_id=user.id, digest=digest(code)) for code in codes)
    return ["-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP)) for code in codes]


def _normal(code: str) -> str:
    """Remove the separators that a person may enter or leave out."""
    return "".join(code.split()).replace("-", "").lower()


def _encrypted(secret: str, user: User) -> bytes:
    return encrypt(secret.encode(), _site_key(), _PURPOSE, str(user.id))


def _decrypted(kept: Authenticator, user: User) -> str:
    return decrypt(kept.secret, _site_key(), _PURPOSE, str(user.id)).decode()


def _site_key() -> str:
    return str(current_app.extensions["birads_site_key"])
