"""Debian's DICOM validators; without them tests are skipped, or fail under ``CI=true``."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

from pydicom.dataset import Dataset

REQUIRED = os.environ.get("CI") == "true"


def tool(name: str) -> str:
    """The path of a program."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    return found or missing(
        f"there is no {name} here: apt-get install dcmtk dicom3tools orthanc orthanc-dicomweb"
    )


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail under ``CI=true``."""
    import pytest  # measuring needs the rest of this module, but no pytest

    (pytest.fail if REQUIRED else pytest.skip)(reason)


def written(made: Dataset, folder: Path) -> Path:
    """An object as a file."""
    path = folder / "object.dcm"
    made.save_as(path, enforce_file_format=True)
    return path


def complaints(path: Path) -> list[str]:
    """The errors that dciodvfy finds; warnings are ignored."""
    judged = subprocess.run([tool("dciodvfy"), path], capture_output=True, text=True, check=False)
    lines = (judged.stdout + judged.stderr).splitlines()
    assert lines, "dciodvfy said nothing, not even the object's kind"
    return [line for line in lines if line.startswith(("Error", "E:"))]


def printed(path: Path) -> str:
    """Return the output of dsrdump, with every text in full."""
    shown = subprocess.run([tool("dsrdump"), "+Pl", path], capture_output=True, text=True, check=True)
    assert not [line for line in shown.stderr.splitlines() if line.startswith(("E:", "F:"))]
    return shown.stdout
