"""The first signal interrupts a command, and further ones do not interrupt its clean-up."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import heed_signals

MODULE = Path(__file__).resolve().parents[2] / "birads_app" / "cli" / "interruption.py"
COMMAND = f"""
import runpy, time
with runpy.run_path({str(MODULE)!r})["cleaning_up"]():
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(0.05)
        print("clean", flush=True)
"""
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def run(*before: str) -> "subprocess.Popen[str]":
    """Start the command and wait until it works."""
    command = subprocess.Popen(
        [*before, sys.executable, "-c", COMMAND],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    )
    assert command.stdout.readline() == "working\n"
    return command


@pytest.mark.parametrize("first", SIGNALS)
def test_signals_during_the_clean_up_are_ignored(first: signal.Signals) -> None:
    with run() as command:
        command.send_signal(first)
        assert command.stdout.readline() == "cleaning\n"
        for number in SIGNALS:
            command.send_signal(number)
        said, errors = command.communicate(timeout=30)
    assert said == "clean\n"
    assert command.returncode == -signal.SIGINT and errors.rstrip().endswith("KeyboardInterrupt")


def test_a_signal_while_garbage_is_collected_is_not_lost() -> None:
    """Python drops what a destructor raises, here from within the signal's handler."""
    code = f"""
import runpy, signal, time
with runpy.run_path({str(MODULE)!r})["cleaning_up"]():
    class Garbage:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)
    try:
        Garbage()
        print("goes on", flush=True)
        time.sleep(60)
    finally:
        signal.raise_signal(signal.SIGTERM)
        print("clean", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "goes on\nclean\n"
    assert done.returncode == -signal.SIGINT and "ignored" not in done.stderr


def test_a_signal_that_the_process_ignores_does_not_interrupt_it() -> None:
    with run("nohup") as command:
        command.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            command.wait(0.2)
        command.send_signal(signal.SIGTERM)
        assert command.communicate(timeout=30)[0] == "cleaning\nclean\n"
