"""Pin all packages with the hashes of their wheels: ``make lock``.

Each requirement file has a lock file, which pip installs instead: pip reads hashes from requirement files only, not
from constraints. A lock file includes others as its requirement file does, and holds what those lack.

Versions that are locked already stay unless they contradict the requirements. A package without a wheel for one of the
platforms below is an error, since building one would run unpinned code.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.packages import ROOT, hashed_blocks

# Requirement files, and those that each includes.
INCLUDED: dict[str, tuple[str, ...]] = {
    "requirements-web": (),
    "requirements-cluster": ("requirements-web",),
    "requirements": ("requirements-web",),
    "requirements-dev": ("requirements", "requirements-cluster"),
    "requirements-node": (),
}
_ALL, _ALONE = "requirements-dev", "requirements-node"
PYTHONS = ("3.11", "3.12", "3.13")
# C libraries of Debian 12. OpenVINO has no wheel for an older one on ARM.
PLATFORMS = ("x86_64-manylinux_2_36", "aarch64-manylinux_2_36")
HEADER = "# Written by `make lock`: every package that {file} brings along, with the hashes of its wheels.\n"


def compile_requirements(source: Path, target: Path, *options: str) -> None:
    """Resolve a requirement file with uv; pins of an existing target are kept."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate", "--no-header"]
    subprocess.run(
        [*command, "--only-binary", ":all:", *options, "--output-file", target, source], cwd=ROOT, check=True
    )


def with_included(name: str) -> tuple[str, ...]:
    """Return a requirement file after all that it includes, each once."""
    below = [file for included in INCLUDED[name] for file in with_included(included)]
    return (*dict.fromkeys(below), name)


def lock(name: str, folder: Path, *options: str) -> None:
    """Write the lock files of a requirement file and of all that it includes, with the same version of a package."""
    names = with_included(name)
    resolved = folder / name
    pins = {package: pin for file in names for package, pin in hashed_blocks(f"{file}.lock").items()}
    resolved.write_text("".join(pins.values()), "utf-8")
    compile_requirements(ROOT / f"{name}.txt", resolved, "--universal", "--generate-hashes",
                         "--python-version", PYTHONS[0], *options)  # fmt: skip
    locked: dict[str, set[str]] = {}
    for file in names:
        part = folder / f"{file}.part"
        compile_requirements(ROOT / f"{file}.txt", part, "--constraint", str(resolved), "--universal",
                             "--generate-hashes", "--python-version", PYTHONS[0])  # fmt: skip
        below = set().union(*(locked[included] for included in INCLUDED[file]))
        blocks = hashed_blocks(part)
        included = "".join(f"-r {other}.lock\n" for other in INCLUDED[file])
        text = HEADER.format(file=f"{file}.txt") + (included or "--require-hashes\n--only-binary :all:\n")
        text += "\n" + "".join(block for package, block in blocks.items() if package not in below)
        (ROOT / f"{file}.lock").write_text(text, "utf-8")
        locked[file] = below | blocks.keys()
    for python in PYTHONS:
        for platform in PLATFORMS:
            compile_requirements(ROOT / f"{name}.txt", folder / f"{python}-{platform}", "--constraint",
                                 str(resolved), "--python-version", python, "--python-platform", platform)  # fmt: skip


def main() -> None:
    """Lock all requirement files; arguments such as ``--upgrade-package NAME`` go to uv."""
    with TemporaryDirectory() as folder:
        for name in (_ALL, _ALONE):
            lock(name, Path(folder), *sys.argv[1:])


if __name__ == "__main__":
    main()
