"""Account of an exam's objects: how many came, which are left out, and why."""

from collections.abc import Sequence

from birads_app.records.schema import Exam
from birads_app.terms.messages import Message, join, msg

_NAMED_MAX = 5


def describe(exam: Exam, problems: Sequence[tuple[str, str]], reasons: Sequence[Message]) -> None:
    """Fill in the exam's account of objects; reasons for attention that it has already are kept.

    Parameters
    ----------
    problems : neutral name and reason of each image that was left out
    reasons : further reasons for attention
    """
    exam.objects_received = len(exam.images) + len(problems)
    exam.unused_objects = [msg("file-problem", file=name, problem=reason) for name, reason in problems]
    exam.attention = [*_left_out(exam, problems), *(exam.attention or ()), *reasons]


def _left_out(exam: Exam, problems: Sequence[tuple[str, str]]) -> list[Message]:
    """Return the sentence with the unused objects, by reason; none if all are used."""
    if not problems:
        return []
    by_reason: dict[str, list[str]] = {}
    for name, reason in problems:
        by_reason.setdefault(reason, []).append(name)
    stated = [msg("file-problem", file=_names(names), problem=reason) for reason, names in by_reason.items()]
    used, received = len(exam.images), len(exam.images) + len(problems)
    return [msg("objects-left-out", used=used, received=received, reasons=join(stated))]


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED_MAX])
    return shown if len(names) <= _NAMED_MAX else f"{shown}, ... ({len(names)})"
