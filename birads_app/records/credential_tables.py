"""Database tables of credentials besides the password: authenticator apps, recovery codes, sign-on, API tokens."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from birads_app.records.schema import User, now
from birads_app.records.table_base import Base, UtcDateTime


class Authenticator(Base):
    """Authenticator app of an account.

    secret : shared with the app, encrypted: nonce and ciphertext
    confirmed_at : time of the first code; None while it is being set up and does not count yet
    last_step : time step of the last accepted code, which is not accepted again
    """

    __tablename__ = "authenticators"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_step: Mapped[int] = mapped_column(default=0)


class RecoveryCode(Base):
    """Unused recovery code. Only its SHA-256 is stored, which suffices because codes are random (120 bits)."""

    __tablename__ = "recovery_codes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(String(64))


class ProviderAccount(Base):
    """Subject of an identity provider that signs on to an account.

    issuer, subject : claims ``iss`` and ``sub`` of the provider's ID tokens
    """

    __tablename__ = "provider_accounts"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Token(Base):
    """API token. Only its SHA-256 is stored, which suffices because tokens are random.

    name : purpose, as entered by its creator
    scopes : separated by blanks, see :mod:`birads_app.records.tokens`
    """

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(64), server_default="", default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    scopes: Mapped[str] = mapped_column(String(32))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    user: Mapped[User] = relationship()

    @property
    def expired(self) -> bool:
        """Return True after the token's end."""
        return self.expires_at <= now()
