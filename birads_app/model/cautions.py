"""Reasons not to rely on a model, from its manifest and its evaluation record.

A model with such a reason carries a banner on every page, its results are marked as those of a demonstration, and it is
promoted only with a reason.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from birads_app.terms.messages import Message, msg

# Fewer patients, in all sets together, are too few: the interval of a quadratic kappa is then wider than 0.2.
FEWEST_PATIENTS = 200
# Kinds of alarms that a training raises (``alarms`` in its record), with their message.
ALARMS = {
    "contaminated": msg("caution-contaminated"),
    "leak": msg("caution-leak"),
    "label-permutation": msg("caution-label-permutation"),
    "metadata-baseline": msg("caution-metadata-baseline"),
    "copies": msg("caution-copies"),
    "unknown-patients": msg("caution-unknown-patients"),
    "few-test-images": msg("caution-few-test-images"),
}


def cautions(manifest: Mapping[str, Any], record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return the reasons as sentences; empty for a model without any.

    Parameters
    ----------
    record : the content of ``evaluation.json``
    """
    found = []
    if manifest.get("demonstration"):
        found.append(msg("caution-demonstration"))
    if _synthetic(manifest, record):
        found.append(msg("caution-synthetic"))
    patients = record.get("all_patients")
    if isinstance(patients, int) and patients < FEWEST_PATIENTS:
        found.append(msg("caution-few-patients", patients=patients, least=FEWEST_PATIENTS))
    if not isinstance(patients, int) and not manifest.get("demonstration"):
        found.append(msg("caution-patients-unknown"))
    alarms = _alarms(record)
    found += [message for kind, message in ALARMS.items() if kind in alarms]
    count = len(report_warnings(record)) - sum(kind in ALARMS for kind in alarms)
    if count > 0:
        found.append(msg("caution-report-warns", count=count))
    return tuple(found)


def report_warnings(record: Mapping[str, Any]) -> Sequence[str]:
    """Return the warnings that stand above the figures of the training's report, in English."""
    warnings = record.get("warnings")
    return [str(one) for one in warnings] if isinstance(warnings, list) else []


def _alarms(record: Mapping[str, Any]) -> list[str]:
    """Return the kinds of the alarms in a record; empty for records of earlier versions, which have warnings only."""
    alarms = record.get("alarms")
    return [str(one["kind"]) for one in alarms if "kind" in one] if isinstance(alarms, list) else []


def _synthetic(manifest: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Return True if phantoms are among the images; earlier versions tell by the folder or by their number alone."""
    training = manifest.get("training")
    settings = training if isinstance(training, Mapping) else {}
    return bool(
        record.get("synthetic_images")
        or settings.get("phantom_patients")
        or "/cache/phantoms/" in str(settings.get("data", ""))
    )
