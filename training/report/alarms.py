"""Alarms of a training: findings for which a model is promoted only with a typed reason.

Their kinds are those of :data:`birads_app.model.cautions.ALARMS`, which has their messages.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from training.data.contamination import Contamination
from training.data.dataset_report import DatasetReport, patient_warning
from training.data.protocol import Leak
from training.evaluation.sanity_checks import SanityChecks

# Recall of a category has an interval wider than half of its range if fewer test images have it.
FEWEST_TEST_IMAGES = 10


@dataclass(frozen=True)
class Alarm:
    """An alarm, with its sentence for report and card."""

    kind: str
    text: str


def raised(
    contamination: Contamination,
    leak: Leak,
    dataset_report: DatasetReport,
    test_images: Mapping[str, int],
    sanity_checks: SanityChecks | None,
) -> Sequence[Alarm]:
    """Return the alarms, the most serious first.

    Parameters
    ----------
    test_images : number of test images of each category
    sanity_checks : None if they were not run
    """
    texts = [
        ("contaminated", contamination.warning),
        ("leak", leak.message),
        *(_failed_checks(sanity_checks) if sanity_checks else ()),
        ("copies", dataset_report.copies_warning),
        ("unknown-patients", patient_warning(dataset_report.unknown, sum(dataset_report.counts.values()))),
        ("few-test-images", _few_test_images(test_images)),
    ]
    return [Alarm(kind, text) for kind, text in texts if text]


def _failed_checks(sanity_checks: SanityChecks) -> Iterator[tuple[str, str]]:
    yield "label-permutation", sanity_checks.label_permutation.warning
    yield "metadata-baseline", sanity_checks.metadata_baseline.warning


def _few_test_images(counts: Mapping[str, int]) -> str:
    """Return a warning about categories with too few test images; empty if there are none."""
    few = [
        f"{count} image{'' if count == 1 else 's'} of category {code}"
        for code, count in counts.items()
        if count < FEWEST_TEST_IMAGES
    ]
    if not few:
        return ""
    return (
        f"WARNING: the test set has {', '.join(few)}; with fewer than {FEWEST_TEST_IMAGES} the figures of a category "
        "are not reliable."
    )
