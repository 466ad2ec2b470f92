"""Exit with 0 if ``flask dicom receive`` listens; run by its container's health check.

Reads the kernel's list of sockets (proc(5)), because a test connection would be logged as one from an unknown sender.
"""

import os
import sys
from pathlib import Path

LISTENING = "0A"  # the state, in the fourth column


def listens(port: int) -> bool:
    """Return True if a socket listens at the port."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            _, local, _, state = line.split()[:4]
            if state == LISTENING and int(local.rpartition(":")[2], 16) == port:
                return True
    return False


def main() -> int:
    """Check the port of the environment."""
    port = int(os.environ.get("BIRADS_DICOM_PORT", "11112"))
    if listens(port):
        return 0
    print(f"no server listens at port {port}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
