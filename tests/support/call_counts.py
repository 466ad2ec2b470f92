"""Count of parsed headers and decoded pixels, in this process or in all processes of a command."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pydicom.filereader
from pydicom import dcmread

from birads_app.imaging import raster
from birads_app.imaging.dicom import parser, pixel_data
from tests.support.processes import ROOT

_FILE = "CALL_COUNTS"
_COUNTED = (
    (parser, "parse", "parsed"),
    (pydicom.filereader, "read_partial", "parsed"),
    (pixel_data, "frames", "decoded"),
    (raster, "read", "decoded"),
)


def count_calls(
    note: Callable[[str, str], object], replace: Callable[[object, str, object], object] = setattr
) -> None:
    """Replace the functions that parse and decode by ones that note it, with the UID of the object if it has one."""
    for owner, name, what in _COUNTED:
        replace(owner, name, _noting(getattr(owner, name), note, what))


def _noting(
    original: Callable[..., object], note: Callable[[str, str], object], what: str
) -> Callable[..., object]:
    def noted(*given: object, **options: object) -> object:
        subject = given[0]
        try:
            result = original(*given, **options)
            subject = result if what == "parsed" else subject
        finally:
            note(what, str(getattr(getattr(subject, "dataset", subject), "SOPInstanceUID", "none")))
        return result

    return noted


def settings(folder: Path) -> dict[str, str]:
    """Return the environment in which all Python processes count into a new folder."""
    folder.mkdir()
    code = f"from {__name__} import count_in_this_process\ncount_in_this_process()\n"
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", _FILE: str(folder / "counts")}


def count_in_this_process() -> None:
    """Write a line into the file of the environment for each call."""
    file = os.open(os.environ[_FILE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    count_calls(lambda what, uid: os.write(file, f"{what} {uid}\n".encode()))


def counted(folder: Path, sent: Iterable[Path]) -> dict[str, list[int]]:
    """Return how often each of the sent files was parsed and decoded in all processes, by its UID.

    The files that are stored without identity have other UIDs.
    """
    lines = Counter((folder / "counts").read_text().splitlines())
    uids = [dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in sent]
    return {what: [lines[f"{what} {uid}"] for uid in uids] for what in ("parsed", "decoded")}
