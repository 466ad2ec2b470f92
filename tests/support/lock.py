"""Pin all packages with the hashes of their wheels: ``make lock``.

Each requirement file has a lock file, which pip installs instead: pip reads hashes from requirement files only, not
from constraints. A lock file includes the one below it, as the requirement files do, and holds what that one lacks.

Versions that are locked already stay unless they contradict the requirements. A package without a wheel for one of the
platforms below is an error, since building one would run unpinned code.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.packages import ROOT, hashed_blocks

CHAIN = ("requirements-web", "requirements", "requirements-dev")
ALONE = ("requirements-node",)
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


def lock(chain: Sequence[str], folder: Path, *options: str) -> None:
    """Write the lock files of requirement files of which each includes the one before."""
    resolved = folder / chain[-1]
    resolved.write_text("".join("".join(hashed_blocks(f"{name}.lock").values()) for name in chain), "utf-8")
    compile_requirements(ROOT / f"{chain[-1]}.txt", resolved, "--universal", "--generate-hashes",
                         "--python-version", PYTHONS[0], *options)  # fmt: skip
    below: set[str] = set()
    for position, name in enumerate(chain):
        part = folder / f"{name}.part"
        compile_requirements(ROOT / f"{name}.txt", part, "--constraint", str(resolved), "--universal",
                             "--generate-hashes", "--python-version", PYTHONS[0])  # fmt: skip
        blocks = hashed_blocks(part)
        text = HEADER.format(file=f"{name}.txt")
        text += f"-r {chain[position - 1]}.lock\n" if position else "--require-hashes\n--only-binary :all:\n"
        text += "\n" + "".join(block for package, block in blocks.items() if package not in below)
        (ROOT / f"{name}.lock").write_text(text, "utf-8")
        below |= blocks.keys()
    for python in PYTHONS:
        for platform in PLATFORMS:
            compile_requirements(ROOT / f"{chain[-1]}.txt", folder / f"{python}-{platform}", "--constraint",
                                 str(resolved), "--python-version", python, "--python-platform", platform)  # fmt: skip


def main() -> None:
    """Lock all requirement files; arguments such as ``--upgrade-package NAME`` go to uv."""
    with TemporaryDirectory() as folder:
        lock(CHAIN, Path(folder), *sys.argv[1:])
        for name in ALONE:
            lock([name], Path(folder), *sys.argv[1:])


if __name__ == "__main__":
    main()
