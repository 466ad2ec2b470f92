"""Calls in other processes: what breaks one of them costs its own call."""

import errno
import os
import pickle
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest

from birads_app.compute.channel import Channel
from birads_app.compute.pool import ComputeFailed, ComputePool
from birads_app.compute.process import Limits
from birads_app.files.shared_bytes import SharedBytes
from birads_app.terms.errors import ReadingEnded, UnreadableImage
from tests.support import compute_calls
from tests.support.processes import ROOT

GIB = 1 << 30


@pytest.fixture(scope="module")
def pool() -> Iterator[ComputePool]:
    made = ComputePool(2, [compute_calls.__name__], limits=Limits(memory=GIB, seconds=1))
    yield made
    made.close()


def is_running(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_ended(process: int) -> None:
    deadline = time.monotonic() + 20
    while is_running(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_call_runs_in_another_process(pool: ComputePool) -> None:
    process, _ = pool.run(compute_calls.pid_and_parent)
    assert process != os.getpid()
    assert pool.run(compute_calls.pid_and_parent)[0] == process  # which is used again


def test_without_processes_a_call_runs_here() -> None:
    assert ComputePool(0).run(compute_calls.pid_and_parent)[0] == os.getpid()


def test_shared_bytes_arrive(pool: ComputePool) -> None:
    content = SharedBytes.of([b"a" * 70_000, b"b" * 3_000_000])
    assert pool.run(compute_calls.length, content) == len(content) == 3_070_000
    assert content.head(4) == b"aaaa" and content.read()[-3:] == b"bbb"


def test_processes_read_the_same_shared_bytes_at_the_same_time(pool: ComputePool) -> None:
    content = SharedBytes.of([bytes(1 << 20)] * 40)
    with ThreadPoolExecutor(2) as threads:
        lengths = threads.map(lambda _: pool.run(compute_calls.length, content), range(20))
        assert set(lengths) == {40 << 20}


def test_a_domain_error_arrives_with_its_message(pool: ComputePool) -> None:
    with pytest.raises(UnreadableImage) as raised:
        pool.run(compute_calls.refuse)
    assert raised.value.message.code == "archive-damaged"
    assert raised.value.message.values == {"name": "x.zip"}


def test_a_full_disk_is_reported_as_such(pool: ComputePool) -> None:
    with pytest.raises(OSError) as raised:
        pool.run(compute_calls.fail_with, OSError(errno.ENOSPC, "No space left", "a patient's name"))
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, None)
    with pytest.raises(FileNotFoundError):
        pool.run(compute_calls.fail_with, FileNotFoundError(errno.ENOENT, "No such file"))


def test_an_unexpected_error_is_no_fault_of_the_file(pool: ComputePool) -> None:
    with pytest.raises(ComputeFailed, match="fail_with: ZeroDivisionError"):
        pool.run(compute_calls.fail_with, ZeroDivisionError("a patient's name"))


def test_a_call_that_ended_soon_is_repeated(pool: ComputePool, tmp_path: Path) -> None:
    assert pool.run(compute_calls.end_once, tmp_path / "tried") == "done"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_costs_its_own_call(pool: ComputePool, number: int) -> None:
    with ThreadPoolExecutor(3) as threads:
        crash = threads.submit(pool.run, compute_calls.end_with, number)
        others = [threads.submit(pool.run, compute_calls.allocate, 10) for _ in range(20)]
        with pytest.raises(ReadingEnded, match="too much memory or time"):
            crash.result(30)
        assert [other.result(30) for other in others] == [10] * 20


def test_processor_time_is_limited(pool: ComputePool) -> None:
    start = time.process_time()
    with pytest.raises(ReadingEnded, match="too much memory or time"):
        pool.run(compute_calls.compute_forever)
    assert time.process_time() - start < 1
    assert pool.run(compute_calls.allocate, 10) == 10


def test_memory_is_limited(pool: ComputePool) -> None:
    with pytest.raises(ReadingEnded, match="does not have enough memory"):
        pool.run(compute_calls.allocate, 2 * GIB)
    assert pool.run(compute_calls.allocate, 10) == 10


def test_an_answer_that_would_run_code_is_refused(pool: ComputePool, tmp_path: Path) -> None:
    with pytest.raises(ReadingEnded):
        pool.run(compute_calls.answer_with_code, tmp_path / "created")
    assert not (tmp_path / "created").exists()
    assert pool.run(compute_calls.allocate, 10) == 10


def test_an_idle_process_that_was_killed_is_replaced(pool: ComputePool) -> None:
    process, _ = pool.run(compute_calls.pid_and_parent)
    os.kill(process, signal.SIGKILL)
    wait_until_ended(process)
    assert pool.run(compute_calls.pid_and_parent)[0] != process


def test_the_process_that_forks_is_replaced(pool: ComputePool) -> None:
    process, forks = pool.run(compute_calls.pid_and_parent)
    os.kill(forks, signal.SIGKILL)
    os.kill(process, signal.SIGKILL)
    wait_until_ended(process)
    assert pool.run(compute_calls.pid_and_parent)[1] != forks


@pytest.mark.slow
def test_a_process_that_hangs_instead_of_forking_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birads_app.compute.pool._SOON_S", 1)
    own = ComputePool(1, [compute_calls.__name__])
    process, forks = own.run(compute_calls.pid_and_parent)
    os.kill(forks, signal.SIGSTOP)
    os.kill(process, signal.SIGKILL)
    wait_until_ended(process)
    monkeypatch.setattr("birads_app.compute.pool._START_S", 3)
    assert own.run(compute_calls.pid_and_parent)[1] != forks
    assert not is_running(forks)
    own.close()


def test_several_threads_replace_the_process_that_forks_once() -> None:
    own = ComputePool(4, [compute_calls.__name__])
    process, forks = own.run(compute_calls.pid_and_parent)
    for one in (process, forks):
        os.kill(one, signal.SIGKILL)
        wait_until_ended(one)
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(own.run, compute_calls.pid_and_parent_after, 0.5) for _ in range(4)]
        assert len({call.result(60)[1] for call in calls}) == 1
    own.close()


def test_a_process_that_cannot_be_started_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ComputePool(1)
    monkeypatch.setattr(
        subprocess, "Popen", Mock(side_effect=OSError(errno.ENOMEM, "Cannot allocate memory"))
    )
    with pytest.raises(ComputeFailed, match="No process could be started: OSError"):
        own.run(compute_calls.allocate, 10)
    monkeypatch.undo()
    assert own.run(compute_calls.allocate, 10) == 10
    own.close()


def test_closing_ends_processes_with_a_call_after_it() -> None:
    own = ComputePool(1, [compute_calls.__name__])
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(own.run, compute_calls.pid_and_parent_after, 1)
        while own._turns._free:
            time.sleep(0.01)
        time.sleep(0.5)  # until it has a process
        own.close()
        process, forks = call.result(30)
    wait_until_ended(process)
    wait_until_ended(forks)
    with ThreadPoolExecutor(2) as threads:  # still one at a time
        calls = [threads.submit(own.run, compute_calls.pid_and_parent_after, 0.2) for _ in range(2)]
        assert len({call.result(30)[0] for call in calls}) == 1
    own.close()


def test_an_idle_process_is_used_again_whatever_the_number_of_its_descriptor() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, limits[1]), limits[1]))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    own = ComputePool(1, [compute_calls.__name__])
    try:
        assert own.run(compute_calls.pid_and_parent) == own.run(compute_calls.pid_and_parent)
    finally:
        own.close()
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_descriptors_from_a_process_that_reads_files_are_not_taken() -> None:
    ours, theirs = socket.socketpair()
    channel, before = Channel(ours), len(os.listdir("/proc/self/fd"))
    for body in (pickle.dumps("data"), pickle.dumps(os.system), b"no pickle"):
        socket.send_fds(theirs, [struct.pack("<QI", len(body), 2)], [0, 1])
        theirs.sendall(body)
        with suppress(pickle.UnpicklingError):
            assert channel.receive() == "data"
    theirs.sendall(struct.pack("<QI", 1 << 40, 0))
    with pytest.raises(pickle.UnpicklingError, match="not accepted"):
        channel.receive()
    assert len(os.listdir("/proc/self/fd")) == before
    ours.close()
    theirs.close()


def test_descriptors_for_a_broken_message_are_closed() -> None:
    ours, theirs = socket.socketpair()
    channel, before = Channel(ours, trusting=True), len(os.listdir("/proc/self/fd"))
    socket.send_fds(theirs, [struct.pack("<QI", 3, 2)], [0, 1])
    theirs.sendall(b"bad")
    with pytest.raises(pickle.UnpicklingError):
        channel.receive()
    assert len(os.listdir("/proc/self/fd")) == before
    socket.send_fds(theirs, [struct.pack("<QI", 3, 2)], [0, 1])
    theirs.close()
    with pytest.raises(EOFError):
        channel.receive()
    assert len(os.listdir("/proc/self/fd")) == before - 1
    ours.close()


@pytest.mark.parametrize("limit", ["-d 1400000", "-t 200"], ids=["memory", "seconds"])
def test_lower_limits_of_the_system_stay(limit: str) -> None:
    source = (
        "from birads_app.compute.pool import ComputePool\n"
        "from tests.support import compute_calls\n"
        "print(ComputePool(1).run(compute_calls.allocate, 10))\n"
    )
    command = ["bash", "-c", f'ulimit {limit}; exec "$0" -c "$1"', sys.executable, source]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout == "10\n"


def test_no_process_outlives_the_server() -> None:
    source = (
        "import sys, time\n"
        "from birads_app.compute.pool import ComputePool\n"
        "from tests.support import compute_calls\n"
        "print(*ComputePool(1).run(compute_calls.pid_and_parent), flush=True)\n"
        "time.sleep(60)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    processes = [int(one) for one in server.stdout.readline().split()]
    assert len(processes) == 2 and all(map(is_running, processes))
    server.kill()
    server.wait()
    for process in processes:
        wait_until_ended(process)
