"""Tables of the audit log."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from birads_app.records.schema import now
from birads_app.records.table_base import Base, UtcDateTime


class AuditEntry(Base):
    """Entry of the audit log. Database triggers reject any change.

    detail : the reason as entered
    hash : link of the chain (:mod:`birads_app.records.audit_chain`), in hexadecimal digits
    """

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_at", "at"),
        Index("ix_audit_who_at", "who", "at"),
        Index("ix_audit_action_at", "action", "at"),
        Index("ix_audit_subject_at", "subject", "at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    who: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(64))
    detail: Mapped[str] = mapped_column(String(500), server_default="", default="")
    hash: Mapped[str] = mapped_column(String(64), server_default="", default="")


class AuditKey(Base):
    """Key of the audit log's hash chain, encrypted. At most one row, id 1."""

    __tablename__ = "audit_key"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    ciphertext: Mapped[bytes]
