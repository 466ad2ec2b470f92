"""Database tables of signing in: sessions, failed attempts, and the token of the first administrator."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from birads_app.records.schema import now
from birads_app.records.table_base import Base, UtcDateTime


class UserSession(Base):
    """A browser that is signed in. Only the SHA-256 of the id in its cookie is stored.

    browser : name and operating system, such as ``Firefox, Linux``; empty if unknown
    last_used_at : updated once a minute
    expires_at : end of the session, however much it is used
    id_token : of a sign-on at the identity provider, encrypted; None for other sessions
    """

    __tablename__ = "user_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    browser: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    id_token: Mapped[bytes | None]


class SetupToken(Base):
    """SHA-256 of the set-up token that allows the first administrator to be created. At most one row, id 1."""

    __tablename__ = "setup_token"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    digest: Mapped[str] = mapped_column(String(64))


class LoginAttempt(Base):
    """A sign-in that failed or is being checked."""

    __tablename__ = "login_attempts"
    __table_args__ = (
        Index("ix_login_attempts_name_at", "name", "at"),
        Index("ix_login_attempts_address_at", "address", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64, collation="NOCASE"))
    address: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)
