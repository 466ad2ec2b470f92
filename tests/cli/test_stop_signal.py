"""A process of the service ends when it is told to, whatever its main thread does at that moment."""

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "birads_app" / "cli" / "stop_signal.py"
COMMAND = """
import os, runpy, signal, sys, threading
stop_signal = runpy.run_path(sys.argv[1])["StopSignal"]()
number = signal.Signals[sys.argv[2]]
class Garbage:
    def __del__(self):
        signal.raise_signal(number)
assert not stop_signal.wait(0)
if sys.argv[3] == "waiting":
    threading.Timer(0.2, os.kill, [os.getpid(), number]).start()
else:
    Garbage()
assert stop_signal.wait(60) and stop_signal.wait(0)
"""


@pytest.mark.parametrize("doing", ["waiting", "collecting garbage"])
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_the_signal_is_noticed(number: str, doing: str) -> None:
    command = [sys.executable, "-c", COMMAND, str(MODULE), number, doing]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
