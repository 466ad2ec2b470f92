"""Table of report templates."""

from sqlalchemy import JSON, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from birads_app.records.table_base import Base


class ReportTemplate(Base):
    """Texts of the site with which a reader begins a report.

    language : of the texts, such as ``de``; readers of pages in this language are offered the template
    texts : by the codes of :data:`birads_app.records.report_templates.PARTS`
    """

    __tablename__ = "report_templates"
    __table_args__ = (UniqueConstraint("language", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    language: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(64))
    texts: Mapped[dict[str, str]] = mapped_column(JSON)
