"""Tables of what readers do around assessments: unsaved entries, withdrawn signatures, requests for the AI result."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from birads_app.records.table_base import Base, UtcDateTime


class WorkingDraft(Base):
    """Entries of the assessment form as a reader typed them, kept until they are saved or signed.

    entries : (name, value) of each field of the form, in its order; values may be incomplete or invalid
    """

    __tablename__ = "working_drafts"

    exam_id: Mapped[str] = mapped_column(ForeignKey("exams.id", ondelete="CASCADE"), primary_key=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    entries: Mapped[list[tuple[str, str]]] = mapped_column(JSON)


class Withdrawal(Base):
    """Withdrawal of a signature by its reader, a short time after signing. The database refuses changes."""

    __tablename__ = "withdrawals"

    assessment_id: Mapped[int] = mapped_column(
        ForeignKey("assessments.id", ondelete="CASCADE"), primary_key=True
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class AiResultRequest(Base):
    """First request of a reader for the AI result of an exam that is read blinded."""

    __tablename__ = "ai_result_requests"

    exam_id: Mapped[str] = mapped_column(ForeignKey("exams.id", ondelete="CASCADE"), primary_key=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
