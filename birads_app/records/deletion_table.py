"""Table of deleted exams."""

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from birads_app.records.schema import now
from birads_app.records.table_base import Base, UtcDateTime


class Deletion(Base):
    """Exam that was deleted. It stays in the bin until it is restored, which removes this row, or erased.

    exam_id : without a foreign key, because an unsigned exam leaves no row of its own
    who : name of the account
    status : of the exam before
    images : number of its images
    received_at : time at which the exam was stored
    erased_at : time at which images and identity were removed; None while the exam is in the bin
    """

    __tablename__ = "deletions"
    __table_args__ = (Index("ix_deletions_erased_at_at", "erased_at", "at"),)

    exam_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    who: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(500))
    status: Mapped[str] = mapped_column(String(8))
    images: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
