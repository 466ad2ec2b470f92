"""Check of the files beside an original: images for display, heat maps and tiles."""

import zipfile
from pathlib import Path

from birads_app.records import files, tiles

_SIGNATURES = {".jpg": (b"\xff\xd8", b"\xff\xd9"), ".png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")}


def problem(path: Path) -> str:
    """Return what is wrong with a file of an image's folder; empty if nothing is, or if it is being written."""
    if path.name.startswith(".") or path.suffix == ".lock" or path.name == files.PREVIEW:
        return ""
    try:
        if path.name == tiles.NAME:
            with zipfile.ZipFile(path) as archive:
                return "is damaged" if archive.testzip() else ""
        if not files.is_derived(path.name):
            return "belongs to no image"
        content, (first, last) = path.read_bytes(), _SIGNATURES[path.suffix]
    except zipfile.BadZipFile:
        return "is damaged"
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if content.startswith(first) and content.endswith(last) else "is damaged"
