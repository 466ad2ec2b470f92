"""Exit with 0 if a command runs in this container: python runs.py compute

For the health checks of processes that listen at no port. Reads the kernel's list of processes (proc(5)).
"""

import os
import sys
from pathlib import Path


def commands() -> list[list[str]]:
    """List the command lines of all other processes."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:  # the process has ended
                continue
            found.append([word.decode(errors="replace") for word in line.split(b"\0")[:-1]])
    return found


def main() -> int:
    """Look for a process one of whose first words is the given one; other checks do not count."""
    word, this = sys.argv[1], Path(__file__).name
    found = [[Path(part).name for part in command[:4]] for command in commands()]
    if any(word in names and this not in names for names in found):
        return 0
    print(f"no process runs {word}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
