"""The table of docs/cases.md, with the answers of a running application."""

import argparse
import tempfile
from collections.abc import Iterator

from bench import exam_stages
from bench.measurement import Measurement
from birads_app import create_app
from birads_app.records import migrate
from tests.support.case_site import CaseSite, settings_of, site
from tests.support.cases import all_cases
from tests.support.cases.case import Case


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Send every case to an application, with de-identification; print what is given, right, and got."""
    cases, right = all_cases(), 0
    with tempfile.TemporaryDirectory(prefix="bench-") as instance:
        settings = settings_of(instance, str(options.models.absolute()), deidentify=True)
        app = create_app(settings | {"BIRADS_LOG_LEVEL": "ERROR"})
        with app.app_context():
            migrate.upgrade()
        served = site(app)
        print("\n| given | right | got |\n|---|---|---|")
        for case in cases:
            got = _answer(case, served)
            right += got == case.right
            print(f"| {case.given} | {case.right} | {got} |", flush=True)
        exam_stages.settle(app)
    yield Measurement(f"cases answered right, of {len(cases)}", right, None, right, least=len(cases))


def _answer(case: Case, served: CaseSite) -> str:
    try:
        return case.answer(served)
    except Exception as error:  # the other cases follow
        return f"{type(error).__name__}: {error}"
