"""PDF report on A4, in a font with Latin, Greek and Cyrillic letters."""

import html
import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from PIL import Image as Picture
from reportlab.lib.colors import HexColor, black, white
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

from birads_app.records import exams, side_markers
from birads_app.records.schema import Image
from birads_app.terms import lexicon
from birads_app.terms.categories import DISCLAIMER, Category
from birads_app.web.ai_marks import ShownMark
from birads_app.web.patient import age_text, date_text
from birads_app.web.report_content import Described, Report
from birads_app.web.wording import moment, translated

_FONTS = Path(__file__).parent / "fonts"
_PLAIN, _BOLD = "DejaVuSansCondensed", "DejaVuSansCondensed-Bold"
_MARGIN, _PADDING = 16 * mm, 6  # padding of frames in Platypus, in points
_WIDTH = A4[0] - 2 * _MARGIN
_QUIET, _EDGE, _AMBER, _MARK, _AI_MARK = (
    HexColor("#555555"),
    HexColor("#7a858f"),
    HexColor("#8a5a00"),
    HexColor("#ffd84d"),
    HexColor("#ff8ae2"),
)
# Images: number per row, largest side in pixels, height, radius of marks.
_IN_A_ROW, _PIXELS, _HEIGHT, _RADIUS = 4, 700, 58 * mm, 2.4 * mm

_TEXT = ParagraphStyle("text", fontName=_PLAIN, fontSize=9, leading=12.5)
_SMALL = ParagraphStyle("small", _TEXT, fontSize=8, leading=11)
_CAPTION = ParagraphStyle("caption", _SMALL, textColor=_QUIET)
_TITLE = ParagraphStyle("title", _TEXT, fontName=_BOLD, fontSize=16, leading=20)
_HEADING = ParagraphStyle(
    "heading", _TEXT, fontName=_BOLD, fontSize=10.5, leading=14, spaceBefore=8, spaceAfter=2
)
_CATEGORY = ParagraphStyle("category", _TEXT, fontName=_BOLD, fontSize=14, leading=19)


def draw(report: Report) -> bytes:
    """Draw the report on one page, or more if the text is long."""
    _register_fonts()
    stream = io.BytesIO()
    document = SimpleDocTemplate(
        stream,
        pagesize=A4,
        leftMargin=_MARGIN - _PADDING,
        rightMargin=_MARGIN - _PADDING,
        topMargin=14 * mm,
        bottomMargin=18 * mm,
        title=_("Mammography report"),
        lang=str(get_locale() or "en"),
        invariant=1,  # reproducible bytes
    )

    def foot(canvas: Any, _document: Any) -> None:
        _foot(canvas, (_stamped(report) or ("", ""))[0])

    document.build(list(_content(report)), onFirstPage=foot, onLaterPages=foot)
    return stream.getvalue()


class _Picture(Flowable):
    """Image with numbered marks of findings, and those of the model as dashed rings."""

    def __init__(self, image: Image, marks: list[Described], ai_marks: list[ShownMark], width: float) -> None:
        super().__init__()
        scale = min(width / image.width, _HEIGHT / image.height)
        self.width, self.height = image.width * scale, image.height * scale
        self._image, self._marks, self._ai_marks = image, marks, ai_marks

    def draw(self) -> None:
        """Draw at the canvas's origin, as Platypus asks."""
        self.canv.drawImage(ImageReader(io.BytesIO(_small(self._image))), 0, 0, self.width, self.height)
        self._side_marker()
        for ai_mark in self._ai_marks:
            self._ring(ai_mark)
        for mark in self._marks:
            x, y = (mark.finding.x or 0) * self.width, (1 - (mark.finding.y or 0)) * self.height
            for colour, line in ((black, 2.2), (_MARK, 1.0)):
                self.canv.setStrokeColor(colour)
                self.canv.setLineWidth(line)
                self.canv.circle(x, y, _RADIUS)
            self._label(str(mark.number), x, y, _RADIUS, _MARK)

    def _ring(self, shown: ShownMark) -> None:
        mark = shown.mark
        x, y = mark.x * self.width, (1 - mark.y) * self.height
        across, down = mark.width * self.width / 2, mark.height * self.height / 2
        for colour, line, dashes in ((black, 1.8, ()), (_AI_MARK, 0.8, (2.5, 2))):
            self.canv.setDash(*dashes)
            self.canv.setStrokeColor(colour)
            self.canv.setLineWidth(line)
            self.canv.ellipse(x - across, y - down, x + across, y + down)
        self.canv.setDash()
        self._label(shown.label, x, y, across, _AI_MARK)

    def _side_marker(self) -> None:
        """Draw side and view away from the chest wall, in place of a marker that was blanked."""
        letters = side_markers.drawn(self._image)
        if not letters:
            return
        width = pdfmetrics.stringWidth(letters, _BOLD, 8) + 5
        left = self.width - width - 3 if side_markers.corner(self._image) == "right" else 3
        self.canv.setFillColor(black)
        self.canv.setStrokeColor(white)
        self.canv.setLineWidth(0.6)
        self.canv.rect(left, self.height - 14, width, 11, fill=1)
        self.canv.setFillColor(white)
        self.canv.setFont(_BOLD, 8)
        self.canv.drawString(left + 2.5, self.height - 11.5, letters)

    def _label(self, text: str, x: float, y: float, radius: float, colour: HexColor) -> None:
        """Draw the label of a mark beside it, on the side that has room."""
        width = pdfmetrics.stringWidth(text, _BOLD, 8) + 3
        left = x + radius + 1 if x + radius + 1 + width < self.width else x - radius - 1 - width
        self.canv.setFillColor(black)
        self.canv.rect(left, y - 4, width, 9, stroke=0, fill=1)
        self.canv.setFillColor(colour)
        self.canv.setFont(_BOLD, 8)
        self.canv.drawString(left + 1.5, y - 2.5, text)


def _content(report: Report) -> Iterator[Flowable]:
    yield from _head(report)
    yield from _amendment(report)
    yield from _findings(report)
    yield from _assessment(report)
    yield from _pictures(report)
    yield Spacer(0, 6)
    yield Paragraph(_signature(report), _TEXT)
    yield Spacer(0, 8)
    yield _model(report)


def _head(report: Report) -> Iterator[Flowable]:
    exam = report.exam
    patient = (
        _("Patient %(pseudonym)s", pseudonym=exam.pseudonym)
        if exam.pseudonym
        else _("No patient ID in the files")
    )
    title = [Paragraph(_safe(_("Mammography report")), _TITLE), Paragraph(_safe(patient), _TEXT)]
    title += [Paragraph(text, _TEXT) for text in _patient(report)]
    mark = [_stamp(*stamped)] if (stamped := _stamped(report)) else []
    yield Table(
        [[title, mark]],
        [_WIDTH - 55 * mm, 55 * mm],
        style=[
            ("LEFTPADDING", (0, 0), (0, 0), 0),
            ("LINEBELOW", (0, 0), (-1, 0), 1, _EDGE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ],
    )
    yield Spacer(0, 4)
    facts = [(_("Received"), moment(exam.created_at))]
    if report.patient.exam_date:
        facts.insert(0, (_("Exam date"), date_text(report.patient.exam_date)))
    facts.append((_("Exam ID"), exam.id[:8]))
    facts += [
        (translated(lexicon.SECTIONS[code]), report.section(code))
        for code in ("indication", "comparison", "technique")
    ]
    yield _facts(facts)


def _patient(report: Report) -> Iterator[str]:
    """Yield the lines that identify the patient, as far as the account may see her."""
    patient, known = report.patient, report.patient.identity
    years = age_text(patient.age)
    if known is None:
        yield from filter(None, [_safe(years)])
        return
    name = _safe(patient.name or _("No name in the files"))
    yield f'<font name="{_BOLD}">{name}</font>' + (f", {_safe(years)}" if years else "")
    numbers = ((_("Patient ID"), known.patient_id), (_("Accession number"), known.accession_number))
    if any(number for _label, number in numbers):
        yield _safe(" · ".join(f"{label} {number}" for label, number in numbers if number))


def _stamped(report: Report) -> tuple[str, str] | None:
    """Return the stamp of a report that is withdrawn, not signed or amended, and its explanation."""
    if report.assessment.withdrawal:
        return _("WITHDRAWN"), _("not valid")
    if not report.assessment.signed:
        return _("PRELIMINARY"), _("not signed")
    return (_("AMENDED"), "") if report.amendment else None


def _stamp(word: str, explanation: str) -> Flowable:
    style = ParagraphStyle("stamp", _TEXT, textColor=_AMBER, alignment=TA_CENTER)
    text = f'<font name="{_BOLD}">{_safe(word)}</font> {_safe(explanation)}'
    return Table([[Paragraph(text, style)]], style=[("BOX", (0, 0), (-1, -1), 1.2, _AMBER)])


def _amendment(report: Report) -> Iterator[Flowable]:
    """Say which report is replaced and what has changed."""
    if report.amendment is None:
        return
    yield Paragraph(_safe(_("Amended report")), _HEADING)
    yield Paragraph(_safe(report.amended), _TEXT)
    yield from (Paragraph(_safe(f"{label}: {change}"), _TEXT) for label, change in report.changes)
    if not report.changes:
        yield Paragraph(_safe(_("Signed again without a change.")), _TEXT)


def _findings(report: Report) -> Iterator[Flowable]:
    made = report.assessment
    yield Paragraph(_safe(_("Findings")), _HEADING)
    if made.density:
        density = f"{made.density}, {translated(lexicon.DENSITIES[made.density])}"
        yield Paragraph(_safe(f"{_('Breast density')}: {density}"), _TEXT)
    yield from (Paragraph(_described(one), _TEXT) for one in report.findings)
    yield from _paragraphs(made.text)
    if not (report.findings or made.text):
        yield Paragraph(_safe(_("No finding described.")), _TEXT)


def _assessment(report: Report) -> Iterator[Flowable]:
    overall = report.overall
    yield Paragraph(_safe(_("Assessment")), _HEADING)
    if overall:
        yield Paragraph(_named(overall), _CATEGORY)
    else:
        yield Paragraph(_safe(_("No category assigned yet.")), _TEXT)
    yield Spacer(0, 3)
    if report.breasts:
        yield _facts(
            [(title, f"BI-RADS {one.code}, {translated(one.title)}") for title, one in report.breasts]
        )
    if report.assessment.second_look:
        yield Paragraph(_safe(_("Second reading requested.")), _HEADING)
    yield Paragraph(_safe(translated(lexicon.SECTIONS["management"])), _HEADING)
    yield from _paragraphs(report.section("management"))


def _paragraphs(text: str) -> Iterator[Flowable]:
    for paragraph in filter(None, text.split("\n")):
        yield Paragraph(_safe(paragraph), ParagraphStyle("comment", _TEXT, spaceBefore=3))


def _pictures(report: Report) -> Iterator[Flowable]:
    column = _WIDTH / _IN_A_ROW
    cells = [
        [
            _Picture(image, report.marks(image), report.rings(image), column - 4 * mm),
            Paragraph(_safe(report.caption(image)), _CAPTION),
        ]
        for image in report.images
    ]
    for first in range(0, len(cells), _IN_A_ROW):
        row = cells[first : first + _IN_A_ROW]
        yield Spacer(0, 6)
        yield Table([row], [column] * len(row), hAlign="LEFT", style=[("LEFTPADDING", (0, 0), (-1, -1), 0)])


def _signature(report: Report) -> str:
    made = report.assessment
    values = {"name": made.signer, "when": moment(made.at)}
    if made.signed:
        who = _("Signed by %(name)s on %(when)s.", **values)
    else:
        who = _("Draft by %(name)s, %(when)s; not signed.", **values)
    count = ngettext("Only assessment of this exam.", "%(num)s assessments of this exam.", report.count)
    return _safe(f"{who} {count}")


def _model(report: Report) -> Flowable:
    """Draw the AI result in a separate box."""
    exam = report.exam
    texts = [Paragraph(_safe(_("AI result (not part of this assessment)")), _HEADING)]
    if report.model:
        category = lexicon.ASSESSMENTS[report.model.category]
        texts.append(Paragraph(f"{_named(category)}. {_safe(report.top_categories_text)}", _SMALL))
    elif report.hidden:
        texts.append(Paragraph(_safe(_("The AI result is hidden until you ask for it or sign.")), _SMALL))
    else:
        texts.append(Paragraph(_safe(_("No AI result for this exam.")), _SMALL))
    if report.shows_ai_marks:
        legend = _("Dashed rings: AI marks with their probability, not findings of this assessment.")
        texts.append(Paragraph(_safe(legend), _SMALL))
    if exam.demonstration:
        name = _("Demonstration model %(name)s; its results are often wrong.", name=exam.model)
    else:
        name = _("Model %(name)s.", name=exam.model)
    texts.append(Paragraph(_safe(f"{name} {translated(DISCLAIMER)}"), _SMALL))
    box = [("BOX", (0, 0), (-1, -1), 0.8, _EDGE, None, (3, 2)), ("BOTTOMPADDING", (0, 0), (-1, -1), 6)]
    return KeepTogether([Table([[texts]], [_WIDTH], style=box)])


def _facts(facts: list[tuple[str, str]]) -> Flowable:
    """Lay out (label, value) pairs, one per line."""
    rows = [
        [
            Paragraph(_safe(label), ParagraphStyle("label", _TEXT, textColor=_QUIET)),
            Paragraph(_safe(value).replace("\n", "<br/>"), _TEXT),
        ]
        for label, value in facts
    ]
    tight = [
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 0),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    return Table(rows, [58 * mm, _WIDTH - 58 * mm], style=tight)


def _described(one: Described) -> str:
    details = "".join(f"; {_unbroken(label)}:&nbsp;{_unbroken(term)}" for label, term in one.details)
    return f'<font name="{_BOLD}">{one.number}</font>&nbsp; {_safe(one.kind)}{details}'


def _named(category: Category) -> str:
    return _safe(f"BI-RADS {category.code}, {translated(category.title)}")


def _foot(canvas: Any, stamp: str) -> None:
    """Draw page number, disclaimer and stamp."""
    canvas.setFont(_PLAIN, 7.5)
    canvas.setFillColor(_QUIET)
    canvas.drawString(_MARGIN, 10 * mm, translated(DISCLAIMER))
    canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, str(canvas.getPageNumber()))
    if stamp:
        canvas.setFillColor(_AMBER)
        canvas.drawRightString(A4[0] - _MARGIN, 14 * mm, stamp)


def _small(image: Image) -> bytes:
    """Return the display image as a JPEG of print size."""
    with Picture.open(exams.file(image, "display")) as picture:
        picture.thumbnail((_PIXELS, _PIXELS))
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=88)
    return stream.getvalue()


def _unbroken(text: str) -> str:
    """Escape text that must stay on one line."""
    return _safe(text).replace(" ", "&nbsp;")


def _safe(text: str) -> str:
    """Escape text for a paragraph."""
    return html.escape(text, quote=False)


@cache
def _register_fonts() -> None:
    for name in (_PLAIN, _BOLD):
        pdfmetrics.registerFont(TTFont(name, _FONTS / f"{name}.ttf"))
