"""The bill of materials of the default installation: `make sbom`."""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.support.packages import ROOT, closure, requirements

# GPL and AGPL would bind the whole product; LGPL libraries may be used.
BINDING = re.compile(r"(?<!L)(?<!Lesser )(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("sbom") / "sbom.json"
    subprocess.run([sys.executable, "docker/sbom.py", output, "requirements.lock"], cwd=ROOT, check=True)
    document: dict[str, Any] = json.loads(output.read_text("utf-8"))
    return document


def test_the_bill_of_materials_lists_the_installed_packages(bill: dict[str, Any]) -> None:
    listed = {each["name"]: each["version"] for each in bill["components"]}
    locked = requirements("requirements.lock")
    assert listed == {name: metadata.version(name) for name in closure(set(locked)) & locked.keys()}
    assert set(requirements("requirements.txt")) <= listed.keys()
    assert {each["purl"] for each in bill["components"]} >= {"pkg:pypi/flask@" + metadata.version("flask")}


def test_every_package_has_a_licence_and_none_is_under_a_gpl(bill: dict[str, Any]) -> None:
    stated = {each["name"]: json.dumps(each["licenses"]) for each in bill["components"]}
    assert all(re.search(r'"(id|name|expression)": "..', text) for text in stated.values()), stated
    assert not {name: text for name, text in stated.items() if BINDING.search(text)}
    assert stated["flask"] == '[{"expression": "BSD-3-Clause"}]'
    assert stated["tensorflow"] == '[{"license": {"id": "Apache-2.0"}}]'
    assert stated["tqdm"] == '[{"expression": "MPL-2.0 AND MIT"}]'
    assert BINDING.search("GPL-3.0-or-later") and BINDING.search("GNU General Public License v3 (GPLv3)")
    assert not BINDING.search("LGPL-2.1-or-later")
    assert not BINDING.search("GNU Lesser General Public License v3")


def test_identifiers_are_those_of_spdx(bill: dict[str, Any]) -> None:
    licences = [each["license"] for component in bill["components"] for each in component["licenses"]
                if "license" in each]  # fmt: skip
    known = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MPL-2.0", "PSF-2.0"}
    assert {licence["id"] for licence in licences if "id" in licence} <= known
    assert {licence["name"] for licence in licences if "name" in licence} <= {"BSD License"}  # 2 or 3 clauses


def test_dependencies_name_listed_packages(bill: dict[str, Any]) -> None:
    references = {bill["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in bill["components"])}
    needed = {each["ref"]: set(each["dependsOn"]) for each in bill["dependencies"]}
    assert needed.keys() == references and set().union(*needed.values()) <= references
    by_name = {each["name"]: each["bom-ref"] for each in bill["components"]}
    assert {by_name["werkzeug"], by_name["jinja2"]} <= needed[by_name["flask"]]


def test_a_package_without_a_licence_is_an_error(tmp_path: Path) -> None:
    about = tmp_path / "site" / "nameless-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: nameless\nVersion: 1.0\n")
    (tmp_path / "nameless.lock").write_text("nameless==1.0\n")
    done = subprocess.run(
        [sys.executable, "docker/sbom.py", tmp_path / "sbom.json", tmp_path / "nameless.lock"],
        cwd=ROOT, env={"PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "No licence is stated by: nameless" in done.stderr
    assert not (tmp_path / "sbom.json").exists()
