"""Atomic writing: a file has the old or the new content, and no draft remains."""

from pathlib import Path

import pytest

from birads_app.files import atomic


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_created_and_replaced(tmp_path: Path, sync: bool) -> None:
    path = tmp_path / "x.txt"
    atomic.write(path, "ä", sync=sync)
    assert path.read_bytes() == "ä".encode() and path.stat().st_mode & 0o777 == 0o644
    atomic.write(path, b"new", sync=sync)
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_a_failed_replacement_leaves_the_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic.replacing(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_draft_of_a_killed_process_is_overwritten(tmp_path: Path) -> None:
    with atomic.replacing(tmp_path / "x") as part:
        part.write_text("a long half")
        left = part.read_bytes()
    (tmp_path / part.name).write_bytes(left)
    with atomic.replacing(tmp_path / "x") as part:
        part.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_text() == "new"


def test_the_first_process_creates_a_file(tmp_path: Path) -> None:
    atomic.create(tmp_path / "key", "first")
    atomic.create(tmp_path / "key", "second")
    assert (tmp_path / "key").read_text() == "first" and len(list(tmp_path.iterdir())) == 1
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_folder_is_created_completely_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError), atomic.new_folder(tmp_path / "x") as draft:
        (draft / "a").touch()
        raise ValueError
    assert not list(tmp_path.iterdir())
    with atomic.new_folder(tmp_path / "x", mode=0o700) as draft:
        (draft / "a").touch()
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x" / "a").exists() and (tmp_path / "x").stat().st_mode & 0o777 == 0o700
