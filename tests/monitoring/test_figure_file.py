"""Figures of several processes: they add up, outlive their process, and need no disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from birads_app.monitoring.figure_file import FigureFile, Key

MAGIC = b"layout-1"
COUNT, RUNNING = ("count", "a"), ("running",)


def opened(folder: Path, magic: bytes = MAGIC) -> FigureFile:
    return FigureFile(folder, magic, {"running"})


def found(file: FigureFile) -> dict[Key, list[list[float]]]:
    values: dict[Key, list[list[float]]] = {}
    for figure in file.read_all():
        values.setdefault(figure.key, []).append(list(figure.values))
    return values


def test_figures_add_up_in_memory_and_in_the_file(tmp_path: Path) -> None:
    file = opened(tmp_path / "metrics")
    for _ in range(3):
        file.add(COUNT, [(0, 1), (2, 0.5)], size=3)
    file.replace(("moment",), 7)
    file.replace(("moment",), 9)
    assert found(file) == {COUNT: [[3, 0, 1.5]], ("moment",): [[9]]}
    assert found(opened(tmp_path / "metrics"))[COUNT] == [[3, 0, 1.5]]


def test_each_process_has_a_file_and_the_next_one_continues_it(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    for file in (first, second):
        file.add(COUNT, [(0, 1)])
        file.add(RUNNING, [(0, 1)])
    assert len(list(tmp_path.iterdir())) == 2
    assert [figure.alive for figure in second.read_all()] == [True] * 4
    first.close()
    assert sorted((figure.key, figure.alive) for figure in second.read_all()) == [
        (COUNT, False),
        (COUNT, True),
        (RUNNING, False),
        (RUNNING, True),
    ]
    third = opened(tmp_path)
    third.add(COUNT, [(0, 5)])
    third.add(("more",), [(0, 1)])
    assert len(list(tmp_path.iterdir())) == 2
    assert found(second) == {COUNT: [[6], [1]], RUNNING: [[0], [1]], ("more",): [[1]]}


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from birads_app.monitoring.figure_file import FigureFile\n"
        "file = FigureFile(Path(sys.argv[1]), b'layout-1', {'running'})\n"
        "file.add(('running',), [(0, 1)]); file.add(('count', 'a'), [(0, 4)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=root, check=False, timeout=60)
    figures = {figure.key: figure for figure in opened(tmp_path).read_all()}
    assert figures[COUNT].values[0] == 4
    assert figures[RUNNING].values[0] == 0


@pytest.mark.parametrize("cut", (1, 8, 16, 17, 31, 40, 47))
def test_an_entry_that_was_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    file = opened(tmp_path)
    file.add(COUNT, [(0, 1)])
    file.add(("later", "entry"), [(1, 1)], size=2)
    file.close()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = opened(tmp_path)
    again.add(COUNT, [(0, 1)])
    assert found(again) == {COUNT: [[2]]}
    again.add(("last",), [(0, 3)])
    assert found(again) == {COUNT: [[2]], ("last",): [[3]]}


@pytest.mark.parametrize("content", [b"", b"layout-0" + bytes(100), b"\xff" * 1000, MAGIC + b"\xff" * 50])
def test_a_file_with_another_layout_or_damage_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    tmp_path.joinpath("000.figures").write_bytes(content)
    file = opened(tmp_path)
    assert found(file) == {}
    file.add(COUNT, [(0, 1)])
    assert found(file) == {COUNT: [[1]]}


def test_without_a_disk_figures_are_kept_in_memory(tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()
    file = opened(tmp_path / "file")
    file.add(COUNT, [(0, 1)])
    file.add(COUNT, [(0, 1)])
    assert found(file) == {COUNT: [[2]]}


def test_on_a_full_disk_figures_are_kept_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, write = opened(tmp_path), os.pwrite
    file.add(COUNT, [(0, 1)])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    file.add(("new",), [(0, 1)])
    assert found(file) == {COUNT: [[1]], ("new",): [[1]]}
    monkeypatch.setattr(os, "pwrite", write)
    file.add(("new",), [(0, 1)])
    assert found(file) == {COUNT: [[1]], ("new",): [[2]]}
    assert found(opened(tmp_path))[("new",)] == [[2]]


def test_a_forked_child_writes_to_a_file_of_its_own(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.add(COUNT, [(0, 1)])
    file.after_fork()
    file.add(COUNT, [(0, 1)])
    assert found(file) == {COUNT: [[2]]}
