"""Table of jobs."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from birads_app.compute.turns import Urgency
from birads_app.records.message_columns import MessageText
from birads_app.records.schema import User, now
from birads_app.records.table_base import Base, UtcDateTime


class JobKind(StrEnum):
    """Kind of a job: an upload to be read later, a received study of which an attempt was made, a housekeeping task."""

    UPLOAD = "upload"
    STUDY = "study"
    HOUSEKEEPING = "housekeeping"


class JobState(StrEnum):
    """State of a job; one that has failed is not repeated."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Job(Base):
    """Work that is done later.

    id : random, or made from the Idempotency-Key; of a study that of its future exam, of housekeeping the task's name
    user_id : account of an upload; None for what nobody has asked for
    urgency : a :class:`birads_app.compute.turns.Urgency`: of an upload, whether a client waits for its end
    attempts : number of those begun
    due_at : time of the next attempt; while one runs, of the next one if its process ends
    error : reason why the last attempt failed, without names of files; empty if none failed
    exam_ids : of the exams that an upload has become
    file : name in the folder of uploads: of the upload's files until it is done, then of the reasons for a refusal, or
        of the answer for the client that waits; empty if there is none
    bytes : size of the upload
    digest : of the content of the upload's files
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", name="state"),
        Index("ix_jobs_kind_state_due_at", "kind", "state", "due_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    state: Mapped[str] = mapped_column(String(8), default=JobState.WAITING)
    urgency: Mapped[int] = mapped_column(default=Urgency.LATER, server_default="2")
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str] = mapped_column(MessageText(500), default="")
    exam_ids: Mapped[list[str]] = mapped_column(JSON, default=list)
    file: Mapped[str] = mapped_column(String(32), default="")
    bytes: Mapped[int] = mapped_column(default=0)
    digest: Mapped[str] = mapped_column(String(32), default="")
    user: Mapped[User | None] = relationship(lazy="joined")
