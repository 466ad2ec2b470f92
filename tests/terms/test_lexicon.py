"""Consistency of the lexicon with categories and DICOM codes."""

from pathlib import Path

from birads_app.dicom_objects.codes import ASSESSMENTS as CODED
from birads_app.dicom_objects.codes import COMPOSITIONS
from birads_app.model.aggregation import PRESSING
from birads_app.terms import lexicon
from birads_app.terms.categories import CATEGORIES


def test_every_assessment_has_a_text_a_rank_and_a_code() -> None:
    assert list(lexicon.ASSESSMENTS) == list(CODED)
    assert set(PRESSING) == set(CODED)
    assert all(lexicon.ASSESSMENTS[code] is category for code, category in CATEGORIES.items() if code != "4")
    assert lexicon.ASSESSMENTS["4B"].management == CATEGORIES["4"].management


def test_every_density_has_a_code() -> None:
    assert list(lexicon.DENSITIES) == list(COMPOSITIONS)


def test_names_are_unique_and_each_term_is_in_one_group() -> None:
    for kind in lexicon.FINDING_TYPES.values():
        assert all(lexicon.DESCRIPTORS[one.code] is one for one in kind.descriptors)
    for descriptor in lexicon.DESCRIPTORS.values():
        assert len(descriptor.terms) == sum(map(len, descriptor.groups.values()))


def test_the_form_offers_the_descriptors_of_each_finding() -> None:
    rules = (Path(__file__).parent.parent.parent / "static/css/assessment.css").read_text()
    for kind in lexicon.FINDING_TYPES.values():
        assert (f'[data-kinds~="{kind.code}"]' in rules) == bool(kind.descriptors)


def test_the_lexicon_has_the_terms_of_the_fifth_edition() -> None:
    assert list(lexicon.FINDING_TYPES["mass"].descriptors[1].terms) == [
        "circumscribed", "obscured", "microlobulated", "indistinct", "spiculated"
    ]  # fmt: skip
    benign, suspicious = lexicon.DESCRIPTORS["morphology"].groups.values()
    assert (len(benign), len(suspicious)) == (9, 4)
    assert len(lexicon.DESCRIPTORS["distribution"].terms) == 5
