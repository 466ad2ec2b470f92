"""Names and docstrings follow the conventions: ``make language`` prints the figures and what is left to change."""

import pytest

from tests.support import language


@pytest.mark.slow
def test_docstrings_begin_with_an_imperative_or_a_noun() -> None:
    openings = language.misleading_docstrings()
    assert len(openings) < language.MAX_OPENINGS * len(language.docstrings()), openings


def test_no_name_of_the_past_is_left() -> None:
    assert language.forbidden_names() == []


def test_no_import_renames_a_module() -> None:
    assert language.module_aliases() == []


def test_no_module_name_occurs_twice() -> None:
    assert language.repeated_modules() == {}


def test_no_class_name_occurs_twice() -> None:
    assert language.repeated_classes() == {}


@pytest.mark.parametrize("package", language.PACKAGES)
def test_a_package_has_few_modules_at_its_root(package: str) -> None:
    assert len(language.root_modules(package)) <= language.MAX_ROOT_MODULES


@pytest.mark.parametrize(
    "name", ["exam_answer", "ExamAnswer", "_halved", "fine_tune_lesson", "--no-traps", "KNOBS"]
)
def test_names_of_the_past_are_noticed(name: str) -> None:
    assert language.is_forbidden(name)


@pytest.mark.parametrize(
    "name", ["answer", "knowledge", "tabular", "keep", "Outline", "known_hosts", "farther"]
)
def test_ordinary_names_are_left_alone(name: str) -> None:
    assert not language.is_forbidden(name)
