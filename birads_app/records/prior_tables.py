"""Tables of the search for prior exams in the PACS."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from birads_app.records.message_columns import MessageText
from birads_app.records.schema import now
from birads_app.records.table_base import Base, UtcDateTime


class PriorSearch(Base):
    """Search of the PACS for the priors of a received exam.

    requested : number of studies that were requested
    due_at : time of the next attempt, or of the last one if there is no further one
    error : reason why the last attempt failed, or why nothing was asked; empty otherwise
    """

    __tablename__ = "prior_searches"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'done', 'stopped')", name="state"),
        Index("ix_prior_searches_state_due_at", "state", "due_at"),
    )

    exam_id: Mapped[str] = mapped_column(ForeignKey("exams.id", ondelete="CASCADE"), primary_key=True)
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    requested: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    error: Mapped[str] = mapped_column(MessageText(500), default="")


class RequestedPrior(Base):
    """Study that was requested as a prior of an exam: what comes of it is not to be read.

    study_uid : as exams are stored under
    exam_id : without a foreign key, because the study may arrive after the exam was deleted
    """

    __tablename__ = "requested_priors"

    study_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    exam_id: Mapped[str] = mapped_column(String(32), primary_key=True, index=True)
