"""Write the software bill of materials (CycloneDX 1.6) of an environment: python sbom.py OUTPUT [LOCK_FILE...]

Lists the packages installed beside this Python; if lock files are named, only those of their packages. The same
packages make the same file.
"""

import json
import re
import sys
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Names of licences as packages state them -> SPDX identifiers.
SPDX = {
    "2-clause BSD License": "BSD-2-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
IDENTIFIER = re.compile(r"MIT(-[\w.]+)?|(Apache|BSD|MPL|PSF|LGPL|A?GPL)(-[\w.]+)+")
EXPRESSION = re.compile(rf"({IDENTIFIER.pattern})( (AND|OR) ({IDENTIFIER.pattern}))+")
# Packages whose metadata state no licence, from the licence file in their wheels.
FROM_LICENCE_FILE = {"namex": "Apache-2.0"}


def normal(name: str) -> str:
    """A distribution's name in lower case with hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licences(name: str, about: Any) -> list[dict[str, Any]]:
    """CycloneDX licences of a distribution: its expression, else its licence field, else its classifiers."""
    expression = about.get("License-Expression")
    field = SPDX.get(about.get("License", ""), about.get("License", ""))
    if expression or EXPRESSION.fullmatch(field):
        return [{"expression": expression or field}]
    if IDENTIFIER.fullmatch(field):
        return [{"license": {"id": field}}]
    classifiers = [line for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    stated = [line.rpartition(" :: ")[2] for line in classifiers] or [FROM_LICENCE_FILE.get(name, field)]
    stated = [SPDX.get(text, text) for text in stated if text]
    return [{"license": {"id" if IDENTIFIER.fullmatch(text) else "name": text}} for text in stated]


def component(distribution: metadata.Distribution) -> dict[str, Any]:
    """CycloneDX component of a distribution."""
    name = normal(distribution.metadata["Name"])
    purl = f"pkg:pypi/{name}@{distribution.version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": distribution.version,
        "purl": purl,
        "licenses": licences(name, distribution.metadata),
    }


def requires(distribution: metadata.Distribution) -> set[str]:
    """Names of the distributions that this one needs, without extras; some only on other platforms."""
    lines = distribution.requires or []
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in lines if "extra ==" not in line}


def locked(lock_file: Path) -> set[str]:
    """Names in a lock file and those that it includes."""
    names = set()
    for line in lock_file.read_text("utf-8").splitlines():
        if line.startswith("-r "):
            names |= locked(lock_file.parent / line[3:].strip())
        elif "==" in line:
            names.add(normal(line.partition("==")[0]))
    return names


def bill_of_materials(distributions: dict[str, metadata.Distribution]) -> dict[str, Any]:
    """CycloneDX document of the product and its packages, with who needs whom."""
    version = re.search(r'__version__ = "(.+)"', (ROOT / "birads_app" / "version.py").read_text())[1]
    components = {name: component(distributions[name]) for name in sorted(distributions)}
    product = {
        "type": "application",
        "bom-ref": "birads",
        "name": "birads",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    dependencies = [{"ref": "birads", "dependsOn": [each["bom-ref"] for each in components.values()]}]
    for name, each in components.items():
        needed = sorted(requires(distributions[name]) & components.keys())
        dependencies.append(
            {"ref": each["bom-ref"], "dependsOn": [components[other]["bom-ref"] for other in needed]}
        )
    identity = json.dumps([version, *(each["purl"] for each in components.values())])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {"component": product},
        "components": list(components.values()),
        "dependencies": dependencies,
    }


def main() -> None:
    """Write the document; an installed package without a licence is an error."""
    output, *lock_files = map(Path, sys.argv[1:])
    installed = {normal(each.metadata["Name"]): each for each in metadata.distributions()}
    if lock_files:
        installed = {
            name: installed[name] for name in set().union(*map(locked, lock_files)) & installed.keys()
        }
    document = bill_of_materials(installed)
    if unknown := [each["name"] for each in document["components"] if not each["licenses"]]:
        raise SystemExit(f"No licence is stated by: {', '.join(unknown)}")
    output.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(f"{output}: {len(installed)} packages")


if __name__ == "__main__":
    main()
