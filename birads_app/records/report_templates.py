"""Report templates of the site: administrators edit them, readers insert their texts into a report."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from birads_app.records import audit_log
from birads_app.records.assessments import LONGEST_SECTION
from birads_app.records.database import session, writing
from birads_app.records.errors import InvalidAssessment, NotFound
from birads_app.records.template_table import ReportTemplate
from birads_app.terms.lexicon import SECTIONS
from birads_app.terms.messages import msg
from birads_app.terms.translation import N_

NAME_MAX = 64
# Parts of a report that a template may fill; "text" is the free text of the findings.
PARTS: dict[str, str] = {
    **{code: title for code, title in SECTIONS.items() if code != "management"},
    "text": N_("Findings"),
    "management": SECTIONS["management"],
}


def listing(language: str | None = None) -> Sequence[ReportTemplate]:
    """Return the templates of a language, or all, by language and name."""
    wanted = select(ReportTemplate).order_by(ReportTemplate.language, ReportTemplate.name)
    return session().scalars(wanted if language is None else wanted.filter_by(language=language)).all()


def save(template_id: int | None, language: str, name: str, texts: Mapping[str, str], by: str) -> None:
    """Change a template, or add one without an id; recorded in the audit log.

    Raises
    ------
    NotFound
        There is no such template.
    InvalidAssessment
        It has no name, or that of another one of its language; or a text is too long. Nothing is stored.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_MAX:
        raise InvalidAssessment(msg("template-name-invalid", most=NAME_MAX))
    kept = {code: texts[code].strip() for code in PARTS if texts.get(code, "").strip()}
    for code, text in kept.items():
        if len(text) > LONGEST_SECTION:
            raise InvalidAssessment(
                msg("report-text-too-long", section=code, letters=len(text), most=LONGEST_SECTION)
            )
    try:
        with writing() as current:
            template = ReportTemplate() if template_id is None else current.get(ReportTemplate, template_id)
            if template is None:
                raise NotFound(msg("template-missing"))
            template.language, template.name, template.texts = language, name, kept
            current.add(template)
            audit_log.add(current, by, "change report template", name)
    except IntegrityError:
        raise InvalidAssessment(msg("template-name-taken", name=name)) from None


def delete(template_id: int, by: str) -> None:
    """Delete a template; recorded in the audit log. Raises NotFound."""
    with writing() as current:
        template = current.get(ReportTemplate, template_id)
        if template is None:
            raise NotFound(msg("template-missing"))
        audit_log.add(current, by, "delete report template", template.name)
        current.delete(template)
