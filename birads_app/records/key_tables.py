"""Table of the key of pseudonyms."""

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from birads_app.records.table_base import Base


class PseudonymKey(Base):
    """Key of pseudonyms, encrypted with the site key, which it thereby identifies. At most one row, id 1."""

    __tablename__ = "pseudonym_key"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    ciphertext: Mapped[bytes]
