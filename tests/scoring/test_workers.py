"""Workers on a real cluster: their number, and the end of one, change nothing in the results."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from distributed import LocalCluster
from flask import Flask

from birads_app.cluster import connection
from birads_app.cluster.connection import (
    ClusterError,
    WorkerDiffers,
    check_workers,
    connected,
    local_cluster,
    run_all,
)
from birads_app.scoring import scorer
from tests.scoring.conftest import Score
from tests.support.archives import rows_of
from tests.support.factories import mammogram_png
from tests.support.processes import ROOT, environment, heed_signals

IMAGES, FILES = 40, "4"


pytestmark = pytest.mark.slow  # several processes with the libraries of a cluster


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of different pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(IMAGES):
        (folder / f"{seed:02}.png").write_bytes(mammogram_png(seed))
    return folder


@pytest.fixture
def alone(score: Score, pictures: Path, tmp_path: Path) -> list[dict[str, object]]:
    """Return the results of one process of this machine."""
    score(pictures, tmp_path / "alone", "--processes", "1", on=None)
    return rows_of(tmp_path / "alone")


@contextmanager
def after_part(out: Path, act: Callable[[], object]) -> Iterator[None]:
    """Call a function as soon as the first part is written."""

    def watch() -> None:
        while not list(out.glob("part-*")):
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()


def test_results_depend_neither_on_workers_nor_on_partitions(
    score: Score, alone: list[dict[str, object]], pictures: Path, tmp_path: Path
) -> None:
    assert len(alone) == IMAGES
    for files in (FILES, "7", "1"):
        score(pictures, tmp_path / files, "--files", files)
        assert rows_of(tmp_path / files) == alone


def test_a_killed_worker_costs_nothing_but_time(
    score: Score, alone: list[dict[str, object]], pictures: Path, tmp_path: Path
) -> None:
    out, killed = tmp_path / "killed", []
    with local_cluster(2) as cluster:

        def kill() -> None:
            killed.append(cluster.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

        with after_part(out, kill):
            score(pictures, out, "--files", FILES, on=cluster.scheduler_address)
    assert killed and rows_of(out) == alone


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_continued(
    ending: signal.Signals,
    score: Score,
    app: Flask,
    alone: list[dict[str, object]],
    pictures: Path,
    tmp_path: Path,
) -> None:
    out, settings = tmp_path / "out", app.extensions["birads_settings"]
    command = [
        sys.executable,
        "-m",
        "flask",
        "score",
        "--data",
        str(pictures),
        "--out",
        str(out),
        "--files",
        "2",
    ]
    given = environment(settings.instance, BIRADS_MODELS=str(settings.models), BIRADS_PRECISION="f32")
    with subprocess.Popen(
        [*command, "--processes", "2"],
        cwd=ROOT,
        env=given,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
        start_new_session=True,
    ) as running:
        with after_part(out, lambda: _end(running.pid, ending)):
            _, said = running.communicate(timeout=120)
        assert running.returncode == 1 and said.rstrip().endswith("the same command continues."), said
    assert 0 < len(rows_of(out)) < IMAGES and not (out / "_exams.parquet").exists()
    score(pictures, out, "--files", "2")
    assert rows_of(out) == alone


def _end(pid: int, ending: signal.Signals) -> None:
    """Send a signal as a terminal does, to all processes, or as a service manager does."""
    (os.killpg if ending == signal.SIGINT else os.kill)(pid, ending)


def test_a_worker_with_another_version_or_model_is_refused(scheduler: str, tmp_path: Path) -> None:
    with connected(scheduler) as client:
        expected = {**scorer.worker_facts(tmp_path / "none", None), "version": "0.0.1"}
        with pytest.raises(WorkerDiffers, match=r"tcp://127\.0\.0\.1:\d+ has version .* in place of 0\.0\.1"):
            check_workers(client, expected, scorer.worker_facts, tmp_path / "none", None)
        with pytest.raises(WorkerDiffers, match="lacks the product"):
            check_workers(client, {}, _as_if_elsewhere)


def _as_if_elsewhere() -> dict[str, str]:
    raise ImportError("No module named 'birads_app'")


def test_a_worker_that_joins_later_is_compared_as_well(
    score: Score, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("birads_app.scoring.scoring_run.check_workers", lambda *_: None)
    monkeypatch.setattr(scorer, "__version__", "0.0.1")
    said = score(pictures, tmp_path / "out", status=1).output
    assert "A worker has version" in said and "in place of 0.0.1" in said


def test_a_task_that_ends_every_worker_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    with connected(None, 2) as client:
        results = {one.task: one.result for one in run_all(client, _deadly, range(8))}
    assert results == {0: 0, 1: 1, 2: 4, 3: None, 4: 16, 5: 25, 6: 36, 7: 49}


def _deadly(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_task_that_only_shares_its_workers_with_a_deadly_one_is_done() -> None:
    with local_cluster(1, threads=2) as cluster, connected(cluster.scheduler_address) as client:
        results = {one.task: one.result for one in run_all(client, _deadly_after_a_moment, range(4))}
    assert results == {0: 0, 1: 1, 2: 4, 3: None}


def _deadly_after_a_moment(number: int) -> int:
    time.sleep(1 if number == 3 else 3)
    return _deadly(number)


def test_work_without_a_worker_ends_with_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_WITHOUT_WORKER_S", 1.0)
    with local_cluster(1) as cluster, connected(cluster.scheduler_address) as client:
        results = run_all(client, _slow_after_the_first, range(2))
        assert next(results).result == 0
        cluster.scale(0)
        with pytest.raises(ClusterError, match="has had no worker for 1 seconds. Start some"):
            list(results)


def _slow_after_the_first(number: int) -> int:
    time.sleep(60 * number)
    return number


def test_few_tasks_are_at_the_scheduler_however_many_there_are(scheduler: str) -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for number in range(300):
            taken.append(number)
            yield number

    with connected(scheduler) as client:
        for count, _ in enumerate(run_all(client, abs, numbers()), 1):
            assert len(taken) - count < 2 * connection._AHEAD
            assert len(client.futures) <= 2 * connection._AHEAD
        assert count == 300


def test_a_cluster_without_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_ANSWER_S", 1.0)
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        pytest.raises(ClusterError, match="has no worker. Start some: dask worker tcp://127"),
        connected(cluster.scheduler_address),
    ):
        pass
