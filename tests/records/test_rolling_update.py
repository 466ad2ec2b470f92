"""Two versions of the web server side by side on one PostgreSQL database, while the newer one migrates it."""

import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from bench.clients import ids
from bench.worker import multipart
from tests.support import servers
from tests.support.factories import mammogram_dicom
from tests.support.orthanc import free_port
from tests.support.processes import ROOT, environment

NAME, PASSWORD = "anna", "correct horse battery staple"
COLUMN = "rolling"
# What the next version adds: a column that its own exams fill.
REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None

def upgrade():
    op.add_column("exams", sa.Column("{column}", sa.String(16)))
    op.create_table("{column}_table", sa.Column("id", sa.Integer(), primary_key=True))
"""
MAPPING = """

from sqlalchemy.orm import mapped_column as _mapped_column
Exam.{column} = _mapped_column(String(16), nullable=True, default="new")
"""
PARTS = (
    "app.py",
    "wsgi.py",
    "gunicorn.conf.py",
    ".flaskenv",
    "birads_app",
    "training",
    "templates",
    "static",
    "bench",
)

pytestmark = pytest.mark.slow


@dataclass
class Traffic:
    """Statuses of the answers of one server by what was asked for, and the exams that it acknowledged."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    exams: list[str] = field(default_factory=list)


def next_version(folder: Path) -> Path:
    """Copy the product and let the copy's schema have one more revision."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(source, folder / part)
    versions = folder / "birads_app" / "migrations" / "versions"
    newest = max(path.name[:4] for path in versions.glob("[0-9]*.py"))
    revision = f"{int(newest) + 1:04d}"
    text = REVISION.format(revision=revision, before=newest, column=COLUMN)
    (versions / f"{revision}_rolling.py").write_text(text)
    with (folder / "birads_app" / "records" / "schema.py").open("a") as schema:
        schema.write(MAPPING.format(column=COLUMN))
    return folder


@contextmanager
def web(tree: Path, settings: dict[str, str], port: int) -> Iterator[str]:
    """Run a version's web server; yield its address once it is ready."""
    address, log = f"http://127.0.0.1:{port}", Path(settings["BIRADS_INSTANCE"]).parent / f"web-{port}.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"],
            cwd=tree, env=settings | {"PORT": str(port)}, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not is_ready(address):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        assert server.wait(90) == 0


def is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def use(address: str, token: str, found: Traffic, until: threading.Event) -> None:
    """Upload, read and sign exams as a signed-in radiologist, and ask for the readiness, until told to stop."""
    with httpx.Client(base_url=address, timeout=60, follow_redirects=True) as browser:
        form = browser.get("/login").text
        csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)[1]
        browser.post("/login", data={"name": NAME, "password": PASSWORD, "csrf_token": csrf})
        seed = 1000 * int(address.rpartition(":")[2])
        while not until.is_set():
            seed += 1
            body = multipart([(f"{seed}.dcm", mammogram_dicom(seed))], "boundary")
            answer = httpx.post(
                f"{address}/api/v1/predictions", content=body, timeout=60,
                headers={"Authorization": f"Bearer {token}", "Content-Type": "multipart/form-data; boundary=boundary"},
            )  # fmt: skip
            found.statuses["upload", answer.status_code] += 1
            if answer.status_code == 201:
                (exam,) = ids(answer.json())
                found.exams.append(exam)
                page = browser.get(f"/exams/{exam}")
                found.statuses["exam", page.status_code] += 1
                csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)[1]
                sides = set(re.findall(r'name="(category-[LR])"', page.text))
                sent = {"csrf_token": csrf, "action": "sign"} | dict.fromkeys(sides, "1")
                signed = browser.post(f"/exams/{exam}/assessments", data=sent)
                found.statuses["sign", signed.status_code] += 1
            for path in ("/", "/readyz"):
                found.statuses[path, browser.get(path).status_code] += 1


@pytest.fixture
def address() -> Iterator[str]:
    """Address of an empty PostgreSQL database."""
    with servers.any_database() as found:
        yield found


def test_two_versions_serve_one_database_while_it_is_migrated(
    address: str, tmp_path: Path, tiny_models: Path
) -> None:
    """Nothing fails at either, and each exam is stored once, with what its version knows."""
    places = {"BIRADS_MODELS": str(tiny_models), "BIRADS_DATABASE_URL": address}
    settings = environment(tmp_path / "instance", HOST="127.0.0.1", **places)
    new = next_version(tmp_path / "new")

    def run(tree: Path, *module: str, given: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", *module], cwd=tree, env=settings, input=given, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    token = run(ROOT, "bench.new_account", NAME, given=PASSWORD)
    traffic, stop = {"old": Traffic(), "new": Traffic()}, threading.Event()

    def start(version: str, address: str) -> threading.Thread:
        thread = threading.Thread(target=use, args=(address, token, traffic[version], stop))
        thread.start()
        return thread

    def wait_for(version: str, exams: int) -> None:
        wanted, deadline = len(traffic[version].exams) + exams, time.monotonic() + 120
        while len(traffic[version].exams) < wanted and users[version].is_alive():
            assert time.monotonic() < deadline, traffic
            time.sleep(0.1)

    users = {}
    with web(ROOT, settings, free_port()) as old:
        users["old"] = start("old", old)
        wait_for("old", 3)
        run(new, "flask", "db", "upgrade")
        wait_for("old", 3)
        with web(new, settings, free_port()) as newer:
            users["new"] = start("new", newer)
            for version in ("new", "old"):
                wait_for(version, 5)
            # A worker of the old version that is started now serves as well.
            with web(ROOT, settings, free_port()) as again:
                assert is_ready(again)
            stop.set()
            for thread in users.values():
                thread.join()
    for version, found in traffic.items():
        assert {status for _, status in found.statuses} == {200, 201}, (version, found.statuses)
        assert len(found.exams) >= 5
    engine = sa.create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        exams = dict(connection.execute(sa.text(f"SELECT id, {COLUMN} FROM exams")).all())
        signed = connection.execute(sa.text("SELECT count(*) FROM assessments WHERE signed")).scalar()
    engine.dispose()
    acknowledged = {exam: version for version, found in traffic.items() for exam in found.exams}
    assert exams == {exam: "new" if version == "new" else None for exam, version in acknowledged.items()}
    assert signed == len(exams)
