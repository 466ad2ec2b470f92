"""File locks, between threads and between processes that are killed."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from birads_app.files import locks


def hold(program: str, path: Path) -> subprocess.Popen:
    """Run a program that prints a line once it holds the lock."""
    code = f"import sys, time\nfrom pathlib import Path\nfrom birads_app.files import locks\n{program}"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline()
    return process


def kill(process: subprocess.Popen) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("remove", [False, True])
def test_a_lock_admits_one_thread_at_a_time(tmp_path: Path, remove: bool) -> None:
    path, inside, most = tmp_path / "x.lock", 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with locks.exclusive(path, remove=remove):
            inside += 1
            most = max(most, inside)
            time.sleep(0.005)
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    assert most == 1 and path.exists() is not remove


def test_a_lock_in_use_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with locks.try_exclusive(path, remove=True) as first, locks.try_exclusive(path, remove=True) as second:
        assert first and not second
        assert path.exists()
    assert not path.exists()


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    process = hold("with locks.exclusive(Path(sys.argv[1])):\n    print(1, flush=True); time.sleep(60)", path)
    with locks.try_exclusive(path) as free:
        assert not free
    kill(process)
    with locks.try_exclusive(path) as free:
        assert free


def test_the_first_member_of_a_group_is_told(tmp_path: Path) -> None:
    program = (
        "with locks.join(Path(sys.argv[1])) as first:\n    pass\nprint(first, flush=True); time.sleep(60)"
    )
    path = tmp_path / "web.lock"
    first, second = hold(program, path), hold(program, path)
    kill(first)
    with locks.join(path) as alone:
        assert not alone
    kill(second)


def test_a_child_process_inherits_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "running"
    assert not locks.is_held(path)
    handle = locks.inheritable(path)
    assert handle is not None and locks.is_held(path) and locks.inheritable(path) is None
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(handle,))
    os.close(handle)
    assert locks.is_held(path)
    kill(child)
    assert not locks.is_held(path)


def test_a_lock_whose_file_its_holder_removed_is_taken_on_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    first = locks.inheritable(path)
    assert first is not None
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(locks.inheritable, path)  # opens the file that is removed
        time.sleep(0.02)
        path.unlink()
        os.close(first)
        handle = second.result()
    assert handle is not None and locks.is_held(path)
    os.close(handle)
