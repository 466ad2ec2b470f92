"""A data set of one folder of images per category."""

from pathlib import Path

from birads_app.terms.spelling import parse_category
from training.errors import DatasetError

# Files beside the images that are not images: tables, notes, leftovers of file managers.
_NOT_IMAGES = frozenset({".csv", ".txt", ".md", ".json", ".xlsx", ".xls", ".ini", ".db", ".pdf"})


def find(data: Path) -> list[tuple[Path, str]]:
    """Return the folders of categories below ``data``; raises DatasetError without any, or if there are others."""
    folders = []
    for folder in sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith(".")):
        category = parse_category(folder.name)
        if category is None:
            raise DatasetError(
                f"The folder {folder.name!r} in {data} is not a BI-RADS category. Name folders like Birads1, "
                "birads_1, BI-RADS 4, 4 or 4A, and move others elsewhere."
            )
        folders.append((folder, category))
    if not folders:
        raise DatasetError(
            f"{data} contains no folders. Put the images of each category into one, such as Birads1."
        )
    return folders


def images(folder: Path) -> list[Path]:
    """Files below the folder that may be images."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.suffix.lower() not in _NOT_IMAGES
    )
