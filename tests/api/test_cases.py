"""Cases of ``docs/cases.md``, each through the interface of a running application."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from birads_app import create_app
from birads_app.model.predictor import ModelSource
from birads_app.records import files
from tests.support import servers
from tests.support.case_site import CaseSite, settings_of, site
from tests.support.cases import Case, all_cases
from tests.support.dicom_table import CASES, block, cases_table
from tests.support.pictures import wait_for_pictures

ALL = all_cases()


def _site(folder: Path, initial: Path, source: ModelSource, deidentify: bool) -> Iterator[CaseSite]:
    instance = folder / "instance"
    servers.copy_instance(initial, instance)
    places = settings_of(str(instance), str(folder / "models"), deidentify=deidentify)
    app = create_app({**places, **servers.settings_of(instance)})
    app.extensions["birads_models"] = source
    yield site(app)
    with app.app_context():
        wait_for_pictures(files.root())


@pytest.fixture(scope="module")
def deidentifying(
    tmp_path_factory: pytest.TempPathFactory, initial_instance: Path, _model_source: ModelSource
) -> Iterator[CaseSite]:
    """The site, with de-identification."""
    yield from _site(tmp_path_factory.mktemp("with"), initial_instance, _model_source, True)


@pytest.fixture(scope="module")
def keeping(
    tmp_path_factory: pytest.TempPathFactory, initial_instance: Path, _model_source: ModelSource
) -> Iterator[CaseSite]:
    """The site that stores files as received."""
    yield from _site(tmp_path_factory.mktemp("without"), initial_instance, _model_source, False)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.given, marks=[pytest.mark.slow] * case.slow) for case in ALL]
)
def test_the_answer_is_right(deidentifying: CaseSite, case: Case) -> None:
    assert case.answer(deidentifying) == case.right


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in ALL if case.by_header], ids=lambda case: case.given)
def test_it_is_the_same_without_deidentification(keeping: CaseSite, case: Case) -> None:
    assert case.answer(keeping) == case.right


def test_the_document_has_the_same_table() -> None:
    assert block("cases", CASES.read_text("utf-8")) == cases_table()
