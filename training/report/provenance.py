"""Provenance of a model: versions of the libraries and commit of the code."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "numpy",
    "scipy",
    "opencv-python-headless",
    "pydicom",
    "pillow",
    "tensorflow",
    "keras",
    "scikit-learn",
    "imbalanced-learn",
    "openvino",
)
_ROOT = Path(__file__).resolve().parents[2]


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}


def commit() -> str | None:
    """Return the code's commit, with ``-changed`` if files differ from it; None outside a Git checkout."""
    command = [
        "git",
        "-C",
        str(_ROOT),
        "describe",
        "--always",
        "--abbrev=40",
        "--exclude=*",
        "--dirty=-changed",
    ]
    try:
        if not (_ROOT / ".git").exists():
            return None
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
