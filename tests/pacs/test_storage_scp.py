"""Storage SCP: allowed peers, refused objects, limits, TLS."""

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import RawDataStorage, generate_uid
from pynetdicom import AE

from birads_app import create_app
from birads_app.imaging.dicom.parser import TOMOSYNTHESIS
from birads_app.pacs.storage_scp import STORAGE_CLASSES, TRANSFER_SYNTAXES
from tests.support import processes, servers
from tests.support.dicom_matrix import ROWS
from tests.support.dicom_tools import tool
from tests.support.factories import MAMMOGRAPHY, breast, dicom, dicom_bytes
from tests.support.orthanc import free_port
from tests.support.receiver import Receiver, receiver, wait_until


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, tiny_models: Path, empty_instance: Path
) -> Iterator[Receiver]:
    """Run one receiver for all tests of this module; studies stay in its spool for an hour."""
    made = receiver(
        tmp_path_factory.mktemp("receive"), tiny_models, empty_instance,
        BIRADS_DICOM_STABLE_S="3600", BIRADS_DICOM_MAX_OBJECT_MB="1", BIRADS_DICOM_MAX_ASSOCIATIONS="20",
    )  # fmt: skip
    with made.running():
        yield made


def image(folder: Path, height: int = 320, **elements: object) -> Path:
    """A mammogram of a study of its own, as a file."""
    built = dicom(breast(height, 256))
    built.StudyInstanceUID, built.SeriesInstanceUID = generate_uid(), generate_uid()
    for keyword, value in elements.items():
        setattr(built, keyword, value)
    path = folder / f"{built.SOPInstanceUID}.dcm"
    path.write_bytes(dicom_bytes(built))
    return path


def spooled(running: Receiver) -> int:
    """Count the objects in the spool."""
    return len(running.spooled())


def test_an_object_of_a_known_peer_is_stored_encrypted(running: Receiver, tmp_path: Path) -> None:
    before, path = spooled(running), image(tmp_path)
    assert running.echo() == 0
    for _ in range(2):  # the same again takes the same place
        assert running.store(path) == 0
        assert spooled(running) == before + 1
    for found in running.spooled():
        assert b"Secretname" not in found and b"DICM" not in found


def test_an_unknown_peer_is_rejected(running: Receiver, tmp_path: Path) -> None:
    before, path = spooled(running), image(tmp_path)
    assert running.echo(title="STRANGER") != 0
    assert running.echo(called="WRONG") != 0
    assert running.store(path, title="STRANGER") != 0
    assert running.store(path, title="OTHER") != 0  # a peer, but at another address
    assert spooled(running) == before


def test_an_object_over_the_limit_is_refused_and_the_next_one_accepted(
    running: Receiver, tmp_path: Path
) -> None:
    before = spooled(running)
    large, small = image(tmp_path, height=4096), image(tmp_path)
    assert large.stat().st_size > 1 << 20
    assert running.store(large) != 0
    assert spooled(running) == before
    running.store(large, small, options=["-nh"])  # in one association
    assert spooled(running) == before + 1


def test_objects_without_a_study_are_refused(running: Receiver, tmp_path: Path) -> None:
    before = spooled(running)
    assert running.store(image(tmp_path, StudyInstanceUID="")) != 0
    assert running.store(image(tmp_path, SOPClassUID=RawDataStorage)) != 0
    assert spooled(running) == before


@pytest.mark.slow
def test_objects_are_refused_while_the_disk_is_nearly_full(
    tiny_models: Path, empty_instance: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    made = receiver(
        tmp_path_factory.mktemp("full"), tiny_models, empty_instance, BIRADS_MIN_FREE_MB="10000000"
    )
    with made.running():
        assert made.store(image(tmp_path)) != 0
        assert spooled(made) == 0


def test_every_readable_transfer_syntax_is_received() -> None:
    assert set(TRANSFER_SYNTAXES) == {row.syntax for row in ROWS}
    assert {MAMMOGRAPHY, TOMOSYNTHESIS} <= set(STORAGE_CLASSES)


def associations(running: Receiver, count: int, address: str) -> list:
    """Open ``count`` associations from an address."""
    entity = AE("MODALITY")
    entity.add_requested_context(MAMMOGRAPHY)
    return [
        entity.associate("127.0.0.1", running.port, ae_title="BIRADS", bind_address=(address, 0))
        for _ in range(count)
    ]


@pytest.mark.slow
def test_fifty_associations_of_one_peer_leave_room_for_others(running: Receiver, tmp_path: Path) -> None:
    opened = associations(running, 50, "127.0.0.2")
    try:
        assert sum(one.is_established for one in opened) == 10  # half of all
        assert running.echo() == 0
        assert running.store(image(tmp_path)) == 0
    finally:
        for one in opened:
            one.abort()
    wait_until(lambda: _again(running, "127.0.0.2"))


def _again(running: Receiver, address: str) -> bool:
    """Return True if a further association is accepted."""
    (one,) = associations(running, 1, address)
    taken = one.is_established
    one.abort()
    return taken


def test_an_interrupted_transfer_leaves_no_files(running: Receiver, tmp_path: Path) -> None:
    before, path = spooled(running), image(tmp_path)
    process = subprocess.Popen(
        [tool("storescu"), "-aet", "MODALITY", "-aec", "BIRADS", "--abort", "127.0.0.1", str(running.port), path],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    process.wait(30)
    count = spooled(running)
    (one,) = associations(running, 1, "127.0.0.3")
    raw = one.dul.socket.socket
    command = bytes.fromhex("04000000007a") + bytes(40)  # a P-DATA PDU that is announced and then not sent
    raw.sendall(command)
    assert running.echo() == 0
    raw.close()
    with socket.create_connection(("127.0.0.1", running.port)) as silent:
        silent.sendall(b"\x01\x00\xff\xff\xff\xff" + bytes(64))  # 4 GiB announced
        assert running.echo() == 0
        silent.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            while silent.recv(4096):  # it is closed, not waited for
                pass
    assert spooled(running) == count <= before + 1
    assert not list((running.instance / "spool").glob(".part-*"))


def test_a_truncated_object_leaves_no_files(running: Receiver, tmp_path: Path) -> None:
    before, path = spooled(running), image(tmp_path)
    with cut_after(running.port, path.stat().st_size // 2) as port:
        assert replace(running, port=port).store(path) != 0
    assert running.echo() == 0
    assert spooled(running) == before
    assert not list((running.instance / "spool").glob(".part-*"))
    assert running.store(path) == 0
    assert spooled(running) == before + 1


@contextlib.contextmanager
def cut_after(port: int, count: int) -> Iterator[int]:
    """Forward ``count`` bytes of one connection to ``port``, then close both ends; yield the port to connect to."""

    def forward(source: socket.socket, target: socket.socket, left: float) -> None:
        with contextlib.suppress(OSError):
            while left > 0 and (data := source.recv(int(min(left, 4096)))):
                target.sendall(data)
                left -= len(data)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)

    def relay() -> None:
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=forward, args=(server, client, float(1 << 30)))
            back.start()
            forward(client, server, count)
            back.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=relay)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(30)
        assert not thread.is_alive()


def test_a_port_in_use_is_reported_at_start(running: Receiver) -> None:
    ended = processes.flask(running.instance, "dicom", "receive", **running.settings)
    assert ended.returncode == 1 and f"Cannot listen at 127.0.0.1:{running.port}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("BIRADS_DICOM_ALLOWED_AETS", ""),
        ("BIRADS_DICOM_TLS_CERTIFICATE", "lost.pem"),
        ("BIRADS_PACS_DICOMWEB_URL", "pacs"),
    ],
)
def test_invalid_settings_are_reported_at_start(
    config: dict[str, object], empty_instance: Path, setting: str, value: str
) -> None:
    given = {"BIRADS_DICOM_ALLOWED_AETS": "MODALITY@127.0.0.1", "BIRADS_DICOM_PORT": str(free_port())}
    app = create_app({**config, **given, setting: value})
    servers.copy_instance(empty_instance, Path(app.instance_path))
    ended = app.test_cli_runner().invoke(args=["dicom", "receive"])
    assert ended.exit_code == 1 and ended.output.startswith("Error: ")
    assert setting.removesuffix("CERTIFICATE") in ended.output


@pytest.mark.slow
def test_it_ends_when_it_is_told_so_while_garbage_is_collected(
    tiny_models: Path, empty_instance: Path, tmp_path: Path
) -> None:
    """Python drops an exception that a signal's handler raises then."""
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "sitecustomize.py").write_text(
        "import gc, os, signal, sys, threading\n"
        "def told(phase, info):\n"
        "    if threading.current_thread() is threading.main_thread() and 'birads_app.pacs.worker' in sys.modules:\n"
        "        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:\n"
        "            gc.callbacks.remove(told)\n"
        "            signal.raise_signal(signal.SIGTERM)\n"
        "gc.callbacks.append(told)\n"
    )
    path = f"{tmp_path / 'told'}{os.pathsep}{processes.ROOT}"
    made = receiver(tmp_path, tiny_models, empty_instance, PYTHONPATH=path)
    made.expect_end(made.start())


@pytest.mark.slow
def test_a_web_server_started_later_keeps_the_receiver_s_drafts_and_offers_set_up(running: Receiver) -> None:
    draft = running.instance / "images" / f".draft-{os.getpid()}-mine"
    draft.mkdir(parents=True)
    started = processes.python(running.instance, "import wsgi", **running.settings)
    assert "Open /setup" in started.stderr
    assert draft.exists()


@pytest.mark.slow
def test_tls_peers_need_a_certificate_and_a_silent_one_blocks_nobody(
    tiny_models: Path, empty_instance: Path, tmp_path: Path
) -> None:
    public, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-out", public]
        + ["-keyout", key, "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    names = {"CERTIFICATE": public, "KEY": key, "AUTHORITIES": public}
    secure = receiver(
        tmp_path,
        tiny_models,
        empty_instance,
        **{f"BIRADS_DICOM_TLS_{name}": str(path) for name, path in names.items()},
    )
    known = ["+tls", str(key), str(public), "+cf", str(public)]
    with secure.running(), socket.create_connection(("127.0.0.1", secure.port)):
        assert secure.echo(options=known) == 0
        assert secure.store(image(tmp_path), options=known) == 0
        assert secure.echo() != 0
        assert secure.echo(options=["+tla", "-ic"]) != 0  # without a certificate
