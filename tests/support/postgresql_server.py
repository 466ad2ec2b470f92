"""A real PostgreSQL server for tests, which forgets everything."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.orthanc import free_port

_ACCOUNT = "postgres"  # initdb refuses root
# A role that needs a password; the others need none.
WITH_PASSWORD = "guarded"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300",
         "shared_buffers=64MB", "autovacuum=off", "max_wal_size=128MB", "min_wal_size=32MB")  # fmt: skip
_MEMORY, _ENOUGH = Path("/dev/shm"), 2 << 30  # in bytes; databases are copied several times faster there


def is_installed() -> bool:
    """True if the server's programs are here."""
    return _programs() is not None


@contextmanager
def running(*options: str, on_disk: bool = False) -> Iterator[str]:
    """Run a server with further options, such as ``shared_buffers=2GB``; yield its address without a database."""
    programs = _programs()
    assert programs, "There is no PostgreSQL here. As root: apt-get install postgresql"
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=None if on_disk else _memory()))
    port = free_port()
    if os.getuid() == 0:
        shutil.chown(folder, _ACCOUNT, _ACCOUNT)
    process = {"cwd": folder, "check": True, "capture_output": True}
    if os.getuid() == 0:
        process |= {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []}
    begin = [programs / "initdb", "-D", folder / "data", "-U", _ACCOUNT, "--auth=trust", "-E", "UTF8"]
    subprocess.run([*begin, "--locale=C", "--no-sync"], **process)
    rules = folder / "data" / "pg_hba.conf"
    rules.write_text(f"host all {WITH_PASSWORD} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    server = subprocess.Popen(
        [programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port),
         *(part for option in (*_FAST, f"unix_socket_directories={folder}", *options) for part in ("-c", option))],
        stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"),
        **{name: value for name, value in process.items() if name not in ("check", "capture_output")},
    )  # fmt: skip
    try:
        address = f"postgresql://{_ACCOUNT}@127.0.0.1:{port}"
        _wait(server, programs, port)
        yield address
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown, which ends connections
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> Path | None:
    """Return a folder in memory, if there is one with enough space."""
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH else None


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    program = found[-1] if found else shutil.which("postgres")
    return Path(program).parent if program else None


def _wait(server: "subprocess.Popen[bytes]", programs: Path, port: int) -> None:
    for _ in range(300):
        assert server.poll() is None, "PostgreSQL has ended"
        asked = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
        if subprocess.run(asked, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError("PostgreSQL does not answer")
