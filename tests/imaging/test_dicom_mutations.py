"""Damaged files: each gives a mammogram or an input error within ten seconds and one gigabyte.

500 are tried; ``MUTATIONS=20000`` in the environment tries as many, as a nightly run should.
"""

import os

import pytest

from tests.support import dicom_mutations
from tests.support.dicom_mutations import Damage, Reader, damaged, try_many

NUMBER = int(os.environ.get("MUTATIONS", dicom_mutations.ORDINARY))


@pytest.mark.slow
@pytest.mark.timeout(900 + NUMBER)
def test_damaged_files_are_read_or_rejected() -> None:
    counts = try_many(NUMBER)
    assert counts.total() >= 0.9 * NUMBER  # hypothesis leaves out what it has tried
    assert {damage for damage, _ in counts} == set(dicom_mutations.MUTATIONS)
    # "read" without a warning is for sound real files, which may not be here: the built ones are small.
    assert {"read with a warning", "UnreadableImage", "UnsupportedFormat"} <= {end for _, end in counts}


def test_the_undamaged_files_are_read() -> None:
    reader = Reader()
    try:
        for name, source in {**dicom_mutations.built(), **dicom_mutations.real()}.items():
            outcome = reader.ask(dicom_mutations.whole(source, source.body))
            assert outcome.name.startswith("read") or "NOT-A-BREAST" in name, (name, outcome)
    finally:
        reader.close()


def test_the_mutations_include_real_files() -> None:
    if not dicom_mutations.real():
        pytest.skip("The real files of ../shared/data/dicom are not here.")
    name = sorted(dicom_mutations.real())[0]
    assert len(damaged(Damage(name, "cut off", 1000, 0, 0))) == 1000
