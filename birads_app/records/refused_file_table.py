"""Table of refused files."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from birads_app.records.schema import now
from birads_app.records.table_base import Base, UtcDateTime


class RefusedFile(Base):
    """A refused file; only the reason is stored.

    reason : name of the domain error, such as ``NotAMammogram``
    """

    __tablename__ = "refusals"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)
    who: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(64))
