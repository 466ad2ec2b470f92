"""Table of studies that could not be fetched."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from birads_app.records.message_columns import MessageText
from birads_app.records.schema import now
from birads_app.records.table_base import Base, UtcDateTime


class FetchProblem(Base):
    """A study of which the last fetch from the PACS failed.

    study_uid : as exams are stored under
    """

    __tablename__ = "fetch_problems"

    study_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    reason: Mapped[str] = mapped_column(MessageText(500))
