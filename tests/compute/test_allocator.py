"""Memory of processes that serve."""

import subprocess
import sys

from tests.support.processes import ROOT

PROGRAM = """
import sys
from birads_app.compute import allocator
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
if sys.argv[1] == "configured":
    allocator.configure_serving()
bytearray(30 << 20)  # glibc takes pieces of up to this size from its heap from now on
before, large, small = resident(), [], []
for _ in range(100):
    large.append(bytearray(2 << 20))
    large[-1][::4096] = bytes(512)  # its pages are resident
    small.append(bytearray(5000))  # stays, between the large ones
del large
print((resident() - before) >> 20)
"""


def kept_mb(*options: str) -> int:
    """Return the MB that a process keeps of 200 MB that it has freed."""
    command = [sys.executable, "-c", PROGRAM, *options]
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def test_a_process_that_serves_returns_what_it_has_freed() -> None:
    assert kept_mb("configured") < 10 < 100 < kept_mb("as it is")
