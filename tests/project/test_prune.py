"""The step that removes unused files from the packages of the image `web`."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from birads_app.web.language import LANGUAGES
from tests.support.packages import ROOT


@pytest.fixture
def prune() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docker" / "prune.py"))


def test_listed_files_and_folders_are_removed(prune: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a/tests/t.py", "a/b.py", "c.dat", "d.dat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    prune["remove"](tmp_path, "*/tests")
    prune["remove"](tmp_path, "c.*")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b.py", "d.dat"]


def test_a_pattern_without_files_is_an_error(prune: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"gone/\* matches nothing"):
        prune["remove"](tmp_path, "gone/*")
    prune["remove"](tmp_path, "gone/*", required=False)


def test_formats_of_the_pages_languages_stay(prune: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "babel" / "locale-data"
    folder.mkdir(parents=True)
    for name in ("aa", "da", "de", "de_AT", "el", "en", "en_US", "es", "fr", "ru", "ro", "root", "zh"):
        (folder / f"{name}.dat").touch()
    pattern = "babel/locale-data/*.dat"
    prune["remove"](tmp_path, pattern, prune["PARTLY_USED"][pattern])
    left = {path.stem for path in folder.iterdir()}
    assert left == {"de", "de_AT", "en", "en_US", "root"}
    assert left >= {*LANGUAGES, "root"}


def test_copies_of_a_library_become_links(prune: dict[str, Any], tmp_path: Path) -> None:
    content = bytes(prune["LINK_FROM"])
    for name in ("libx.so", "libx.so.3.2", "libx.so.3.2.6"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "liby.so").write_bytes(content + b"y")
    (tmp_path / "small.so").write_bytes(b"")
    (tmp_path / "small.so.1").write_bytes(b"")
    prune["link_copies"](tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.is_symlink()} == {"libx.so", "libx.so.3.2"}
    assert all(
        (tmp_path / name).read_bytes() == content for name in ("libx.so", "libx.so.3.2", "libx.so.3.2.6")
    )
