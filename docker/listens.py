"""Exit with 0 where ``flask dicom receive`` listens; run by its container's health check.

It reads the kernel's list of sockets (proc(5)): a connection would be one from no peer, and noted in the log each time.
"""

import os
import sys
from pathlib import Path

LISTENING = "0A"  # the state, in the fourth column


def listens(port: int) -> bool:
    """True where a socket of this network listens at the port."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            _, local, _, state = line.split()[:4]
            if state == LISTENING and int(local.rpartition(":")[2], 16) == port:
                return True
    return False


def main() -> int:
    """Look at the port of the environment."""
    port = int(os.environ.get("BIRADS_DICOM_PORT", "11112"))
    if listens(port):
        return 0
    print(f"nobody listens at port {port}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
