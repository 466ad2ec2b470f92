"""Memory of processes that serve."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT

PROGRAM = """
import sys
from birads_app.compute import allocator
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
piece = int(sys.argv[2])
if sys.argv[1] == "configured":
    allocator.configure_serving()
bytearray(30 << 20)  # glibc takes pieces of up to this size from its heap from now on
before, large, small = resident(), [], []
for _ in range((200 << 20) // piece):
    large.append(bytearray(piece))
    large[-1][::4096] = bytes(piece // 4096)  # its pages are resident
    small.append(bytearray(5000))  # stays, between the large ones
del large
print((resident() - before) >> 20)
"""


def kept_mb(option: str, piece: int) -> int:
    """Return the MB that a process keeps of 200 MB that it has freed in pieces of some bytes."""
    command = [sys.executable, "-c", PROGRAM, option, str(piece)]
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("piece", [196 << 10, 2 << 20])  # a prepared image of 448 pixels, and a larger array
def test_a_process_that_serves_returns_what_it_has_freed(piece: int) -> None:
    assert kept_mb("configured", piece) < 10 < 100 < kept_mb("as it is", piece)
