"""Backups and restores that are killed at random moments."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from birads_app import create_app
from birads_app.maintenance import archive, backup, restore
from birads_app.records import database, exams, identities, migrate
from birads_app.records.errors import RestoreUnfinished
from tests.support import direct_exam
from tests.support.factories import make_user
from tests.support.processes import ROOT, environment, heed_signals
from tests.support.receiver import wait_until

pytestmark = pytest.mark.slow

KILLS = 10
UNPACKING_S = 0.1
IDS = {letter * 32 for letter in "0123456789abcdef"}


@pytest.fixture
def filled(app: Flask) -> Flask:
    """Return an application with some exams, whose database is closed."""
    make_user(app)
    with app.app_context():
        for exam_id in sorted(IDS):
            direct_exam.store(exam_id)
        database.engine().dispose()
    return app


def in_a_child(config: dict[str, object], step: Callable[[], object]) -> int:
    """Run a step with an application in a process of its own; return its id."""
    child = os.fork()
    if child == 0:
        try:
            with create_app(config).app_context():
                step()
        finally:
            os._exit(0)
    return child


def killed(child: int, after: float) -> None:
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def wait_for_restore(target: Path) -> None:
    """Wait until a restore has begun to unpack, or is over."""
    deadline = time.monotonic() + 60
    while not ((target / migrate.RESTORING).exists() or (target / database.FILE_NAME).exists()):
        assert time.monotonic() < deadline, "the restore does not begin"
        time.sleep(0.001)


def duration(config: dict[str, object], step: Callable[[], object]) -> float:
    begun = time.monotonic()
    os.waitpid(in_a_child(config, step), 0)
    return time.monotonic() - begun


def test_a_killed_backup_leaves_the_previous_one_and_the_next_succeeds(
    filled: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    target, moments = tmp_path / "backup.tar", random.Random(3)

    def step() -> None:
        backup.back_up(target, lambda _: None)

    whole = duration(config, step)
    for _ in range(KILLS):
        killed(in_a_child(config, step), moments.uniform(0, whole))
        assert archive.verify(target) > len(IDS)
    assert duration(config, step) > 0
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == ["backup.tar"]


@pytest.mark.embedded
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_interrupted_command_leaves_nothing_half_written_and_the_next_succeeds(
    filled: Flask, config: dict[str, object], tmp_path: Path, number: signal.Signals
) -> None:
    target, keys = tmp_path / "backup.tar", tmp_path / "backup.keys"
    with filled.app_context():
        original = exams.file(exams.get("f" * 32).images[0], "original")
    content = original.read_bytes()
    original.unlink()
    os.mkfifo(original)  # the command waits here for somebody who writes

    given = ["backup", str(target), "--keys", str(keys)]
    part = tmp_path / ".backup.tar.part"
    with subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", *given],
        cwd=ROOT,
        env=environment(Path(filled.instance_path), BIRADS_MODELS=str(config["BIRADS_MODELS"])),
        stderr=subprocess.DEVNULL,
        preexec_fn=heed_signals,
    ) as command:
        try:
            wait_until(lambda: (part / "archive.tar").exists(), 60)
            command.send_signal(number)
            assert command.wait(60) == (-number if number == signal.SIGKILL else 1)
        finally:
            command.kill()
    left = [".backup.tar.part"] if number == signal.SIGKILL else []
    assert sorted(path.name for path in tmp_path.iterdir() if "backup" in path.name) == [*left, "backup.keys"]
    original.unlink()
    original.write_bytes(content)
    assert filled.test_cli_runner().invoke(args=given).exit_code == 0
    assert archive.verify(target) > len(IDS) and keys.is_file()
    assert not part.exists()


def refuse_or_clear(config: dict[str, object], target: Path) -> None:
    """Check that no database is created in half of a restore; clear the folder if the restore had not begun."""
    with create_app(config).app_context():
        try:
            migrate.upgrade()
        except RestoreUnfinished:
            assert not database.of_app().exists()
            return
        finally:
            database.engine().dispose()
    shutil.rmtree(target)


@pytest.mark.embedded
def test_a_killed_restore_restores_all_or_nothing(
    filled: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    source, moments = tmp_path / "backup.tar", random.Random(5)
    with filled.app_context():
        backup.back_up(source, lambda _: None)
    target = tmp_path / "other"
    there = {
        **config, "BIRADS_INSTANCE": str(target), "BIRADS_SITE_KEY": filled.extensions["birads_site_key"],
    }  # fmt: skip

    def step() -> None:
        restore.restore(source, None, lambda _: None)

    unfinished = 0
    for number in range(KILLS):
        shutil.rmtree(target, ignore_errors=True)
        child = in_a_child(there, step)
        if number:  # the first one at any moment, the others while files are unpacked and moved
            wait_for_restore(target)
        killed(child, moments.uniform(0, UNPACKING_S))
        if not (target / database.FILE_NAME).exists():
            unfinished += (target / migrate.RESTORING).exists()
            refuse_or_clear(there, target)
            os.waitpid(in_a_child(there, step), 0)
        with create_app(there).app_context():
            migrate.upgrade()
            assert exams.all_ids() == IDS
            for exam_id in IDS:
                exam = exams.get(exam_id)
                assert exams.file(exam.images[0], "original").read_bytes() == direct_exam.ORIGINAL
                assert identities.of(exam).patient_id == "ID-4711"
            database.engine().dispose()
    assert unfinished, "no kill met a restore under way"
