"""Requirements: imports are required; requirements are pinned, documented, and may be shipped."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.project.test_architecture import imports, modules, under
from tests.support.lock import INCLUDED, with_included
from tests.support.packages import ROOT, closure, hashed_blocks, normal, requirements

# Imported where they are installed; docs/dependencies.md says for what.
OPTIONAL = {
    "dask",
    "distributed",
    "pyarrow",
    "tf2onnx",
    "onnx",
    "onnxruntime",
    "tensorboard",
    "mlflow",
    "mlflow-skinny",
}
INSTALLERS = {"pip", "setuptools", "wheel"}  # the environment's own, in any version


def _imported(package: str, late: bool) -> set[str]:
    """Distributions that a package's modules import, with or without those imported inside functions."""
    distributions = metadata.packages_distributions()
    return {
        normal(distributions[top][0])
        for module in modules(ROOT)
        if under(module.name, package)
        for found in imports(module)
        if (late or not (found.late or found.typing))
        and (top := found.target.partition(".")[0]) in distributions
    }


def test_imports_of_the_web_application_are_in_its_requirements() -> None:
    assert _imported("birads_app", late=False) <= set(requirements("requirements-web.txt"))


def test_all_imports_are_in_the_requirements() -> None:
    needed = (
        _imported("birads_app", late=True) | _imported("training", late=True) | _imported("app", late=True)
    )
    assert needed - OPTIONAL <= {*requirements("requirements.txt"), *requirements("requirements-cluster.txt")}


def test_the_web_does_not_require_tensorflow() -> None:
    web = closure(set(requirements("requirements-web.txt")))
    assert not {"tensorflow", "keras", "scikit-learn", "imbalanced-learn"} & web


@pytest.mark.parametrize("name", with_included("requirements-dev"))
def test_the_lock_file_pins_the_requirements_and_all_that_they_bring_along(name: str) -> None:
    direct, locked = requirements(f"{name}.txt"), requirements(f"{name}.lock")
    assert direct.items() <= locked.items()
    assert closure(set(direct)) - INSTALLERS <= set(locked)
    not_here = {package for package, block in _blocks(name).items() if ";" in block.partition("\n")[0]}
    assert set(locked) <= closure(set(direct)) | set(direct) | INSTALLERS | not_here


def test_the_installed_packages_are_those_of_the_lock_file() -> None:
    locked = requirements("requirements-dev.lock")
    installed = {name: metadata.version(name) for name in closure(set(locked)) - INSTALLERS}
    assert installed == {name: version for name, version in locked.items() if name in installed}


@pytest.mark.parametrize("name", INCLUDED)
def test_every_locked_package_has_hashes_and_is_in_one_file(name: str) -> None:
    blocks = _blocks(name)
    assert blocks.keys() == requirements(f"{name}.lock").keys()
    assert set(requirements(f"{name}.txt")) <= blocks.keys()
    for block in blocks.values():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\n", block), block
    assert re.match(
        r"# .*\n((-r .*\.lock\n?)+|--require-hashes\n--only-binary :all:)\n\n", _text(f"{name}.lock")
    )


def test_the_lock_files_are_what_is_installed_from() -> None:
    """No command of the Makefile or the Dockerfile installs a package without its hash."""
    for file in ("Makefile", "Dockerfile"):
        installs = re.findall(r"(?:\$\(PIP\)|\bpip) install (.*)", _text(file))
        assert installs and all(re.fullmatch(r"-r [\w-]+\.lock( \\)?", line) for line in installs), installs


@pytest.mark.slow
@pytest.mark.parametrize("tampered", [False, True])
def test_a_package_with_another_hash_is_not_installed(tmp_path: Path, tampered: bool) -> None:
    block = _blocks("requirements-web")["itsdangerous"]
    if tampered:
        block = re.sub(r"sha256:.{8}", "sha256:01234567", block)
    (tmp_path / "one.lock").write_text("--require-hashes\n" + block)
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", "site", "-r", "one.lock"]
    done = subprocess.run(pip, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode != 0) is tampered, done.stderr
    assert ("DO NOT MATCH THE HASHES" in done.stderr) is tampered
    assert (tmp_path / "site" / "itsdangerous").exists() is not tampered


def _text(file: str) -> str:
    return (ROOT / file).read_text("utf-8")


def _blocks(name: str) -> dict[str, str]:
    """Pins of a requirement file and of those below it."""
    merged: dict[str, str] = {}
    for file in with_included(name):
        blocks, below = hashed_blocks(f"{file}.lock"), with_included(file)[:-1]
        assert not any(blocks.keys() & hashed_blocks(f"{other}.lock").keys() for other in below), file
        assert all(merged.setdefault(package, block) == block for package, block in blocks.items()), file
    return merged


def test_the_documents_name_every_direct_dependency() -> None:
    table = (ROOT / "docs" / "dependencies.md").read_text("utf-8").lower()
    direct = {*requirements("requirements.txt"), *requirements("requirements-cluster.txt")}
    missing = [name for name in direct if f"| {name} |" not in table]
    assert not missing
