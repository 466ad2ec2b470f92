"""Sending to a PACS: Orthanc and DCMTK's storescp as destinations."""

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom.acse import ACSE

from birads_app.dicom_objects.breast_imaging_report import breast_report
from birads_app.dicom_objects.context import Study
from birads_app.dicom_objects.measurement_report import measurement_report
from birads_app.dicom_objects.secondary_capture import secondary_capture
from birads_app.pacs.sender import DicomNode, DicomWeb, SendFailed, Tls, send
from tests.dicom_objects.test_breast_imaging_report import SIGNED
from tests.support import orthanc
from tests.support.analyzed_study import STUDY, display, heat, reading
from tests.support.dicom_tools import complaints, tool
from tests.support.http_server import http_server

NUMBERS_BY_MODALITY = {"SR": ["9001", "9003"], "OT": ["9002"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[orthanc.Orthanc]:
    """One Orthanc for all tests of this module."""
    with orthanc.serve(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


def written(study: Study = STUDY) -> list[Dataset]:
    """An object of each kind."""
    given = reading(study=study)
    picture = secondary_capture(given, 0, display(), heat())
    return [measurement_report(given), picture, breast_report(given, SIGNED)]


@pytest.fixture(scope="module")
def objects() -> list[Dataset]:
    """Objects of one study."""
    return written()


def node(server: orthanc.Orthanc, **changes: object) -> DicomNode:
    """Orthanc as a C-STORE destination."""
    settings = {"host": "127.0.0.1", "port": server.dicom_port, "called": server.title, "timeout_s": 20}
    return DicomNode(**settings | changes)


def web(server: orthanc.Orthanc, **changes: object) -> DicomWeb:
    """Orthanc as a STOW-RS destination."""
    settings = {"url": server.dicom_web, "user": orthanc.USER, "password": orthanc.PASSWORD}
    return DicomWeb(**settings | changes)


@pytest.mark.parametrize("destination", [node, web], ids=["C-STORE", "STOW-RS"])
def test_the_objects_arrive_once_in_their_study(destination: object, server: orthanc.Orthanc) -> None:
    study = replace(STUDY, uid=f"{STUDY.uid}.{destination is web:d}")
    objects = written(study)
    for _ in range(2):
        send(objects, destination(server))
        found = server.instances(study.uid)
        assert set(found) == {made.SOPInstanceUID for made in objects}
    for kind, numbers in NUMBERS_BY_MODALITY.items():
        assert sorted(tags["SeriesNumber"] for tags in found.values() if tags["Modality"] == kind) == numbers


def test_without_objects_no_connection_is_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        port = listening.getsockname()[1]
        send([], DicomNode("127.0.0.1", port, "NOBODY"))
        send([], DicomWeb(f"http://127.0.0.1:{port}/dicom-web"))
        with pytest.raises(TimeoutError):  # nothing has connected
            listening.accept()


def test_an_unreachable_destination_is_retried(objects: list[Dataset]) -> None:
    port = orthanc.free_port()
    for destination in (DicomNode("127.0.0.1", port, "PACS"), DicomWeb(f"http://127.0.0.1:{port}/dicom-web")):
        with pytest.raises(SendFailed, match="cannot be reached") as failure:
            send(objects, destination)
        assert failure.value.retry


def test_a_destination_that_was_unreachable_receives_the_objects_later(
    objects: list[Dataset], tmp_path: Path
) -> None:
    with orthanc.serve(tmp_path) as first:
        send(objects[:1], node(first))
    with pytest.raises(SendFailed):
        send(objects, node(first))
    with orthanc.serve(tmp_path, first.dicom_port, first.http_port) as again:
        send(objects, node(again))
        assert len(again.instances(STUDY.uid)) == len(objects)


@pytest.mark.parametrize("late_s", [0, 0.5])
def test_a_wrong_ae_title_is_not_retried(
    server: orthanc.Orthanc, objects: list[Dataset], monkeypatch: pytest.MonkeyPatch, late_s: float
) -> None:
    request = ACSE.send_request

    def slowly(self: ACSE) -> None:
        request(self)
        time.sleep(late_s)  # the connection is over before anyone looks at it

    monkeypatch.setattr(ACSE, "send_request", slowly)
    with pytest.raises(SendFailed, match="WRONG at 127.0.0.1:.* rejected .*AE title") as failure:
        send(objects, node(server, called="WRONG"))
    assert not failure.value.retry


def test_wrong_credentials_are_not_retried(server: orthanc.Orthanc, objects: list[Dataset]) -> None:
    for change in ({"password": "guess"}, {"user": "", "token": "guess"}):
        with pytest.raises(SendFailed, match="HTTP status 401") as failure:
            send(objects, web(server, **change))
        assert not failure.value.retry and "guess" not in str(failure.value)


def test_a_url_without_dicomweb_is_not_retried(server: orthanc.Orthanc, objects: list[Dataset]) -> None:
    with pytest.raises(SendFailed) as failure:
        send(objects, web(server, url=server.dicom_web.replace("dicom-web", "elsewhere")))
    assert not failure.value.retry


def _wait_for(port: int) -> None:
    """Wait until the port accepts connections."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10):
            return
        time.sleep(0.02)
    raise AssertionError("storescp does not listen.")


@contextlib.contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """Run DCMTK's storescp, which writes to ``folder``; yield its port."""
    port = orthanc.free_port()
    process = subprocess.Popen(
        [tool("storescp"), *options, "-od", folder, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait()


def test_a_provider_without_compression_receives_uncompressed_pixels(
    objects: list[Dataset], tmp_path: Path
) -> None:
    picture = objects[1]
    with storescp(tmp_path, "+xi") as port:
        send([picture], DicomNode("127.0.0.1", port, "ANY", timeout_s=10))
    (path,) = tmp_path.glob("SC*")
    got = dcmread(path)
    assert got.file_meta.TransferSyntaxUID.name == "Implicit VR Little Endian"
    assert got.SOPInstanceUID == picture.SOPInstanceUID
    assert (got.pixel_array == picture.pixel_array).all()
    assert not complaints(path)


@pytest.mark.parametrize("option", ["--abort-after", "--abort-during"])
def test_an_aborted_association_is_retried(option: str, objects: list[Dataset], tmp_path: Path) -> None:
    with storescp(tmp_path, option) as port, pytest.raises(SendFailed) as failure:
        send(objects, DicomNode("127.0.0.1", port, "ANY", timeout_s=10))
    assert failure.value.retry


def test_an_unsupported_sop_class_is_not_retried(objects: list[Dataset], tmp_path: Path) -> None:
    profile = tmp_path / "only-echo.cfg"
    profile.write_text(
        "[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = LittleEndianImplicit\n"
        "[[PresentationContexts]]\n[Echo]\nPresentationContext1 = VerificationSOPClass\\Plain\n"
        "[[Profiles]]\n[Default]\nPresentationContexts = Echo\n"
    )
    with storescp(tmp_path, "-xf", str(profile), "Default") as port, pytest.raises(SendFailed) as failure:
        send(objects, DicomNode("127.0.0.1", port, "ANY", timeout_s=10))
    assert not failure.value.retry and "does not accept" in str(failure.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Create a self-signed certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + [
            "-out",
            paths[0],
            "-keyout",
            paths[1],
            "-subj",
            "/CN=test",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    return paths


def test_a_connection_is_encrypted_and_trusts_only_known_authorities(
    certificate: tuple[Path, Path], objects: list[Dataset], tmp_path: Path
) -> None:
    public, key = certificate
    with storescp(tmp_path, "+tls", str(key), str(public), "-ic") as port:
        send(objects, DicomNode("127.0.0.1", port, "ANY", tls=Tls(authorities=public), timeout_s=10))
        assert len([*tmp_path.iterdir()]) == len(objects)
        with pytest.raises(SendFailed, match="is not trusted .self") as failure:
            send(objects, DicomNode("127.0.0.1", port, "ANY", tls=Tls(), timeout_s=5))
        assert failure.value.retry
        with pytest.raises(SendFailed, match="not trusted .Hostname mismatch"):
            send(objects, DicomNode("localhost", port, "ANY", tls=Tls(authorities=public), timeout_s=5))


def test_a_missing_certificate_file_is_named(objects: list[Dataset], tmp_path: Path) -> None:
    lost = Tls(authorities=tmp_path / "lost.pem")
    for destination in (
        DicomNode("127.0.0.1", 104, "ANY", tls=lost),
        DicomWeb("https://127.0.0.1/dicom-web", tls=lost),
    ):
        with pytest.raises(
            SendFailed, match=r"certificates.*lost\.pem|certificates.*No such file"
        ) as failure:
            send(objects, destination)
        assert not failure.value.retry


@contextlib.contextmanager
def answering(
    status: int, body: bytes, kind: str = "application/dicom+json"
) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that gives every request the same response; yield its address and the bodies it receives."""
    received: list[bytes] = []

    def answer(_: str, data: bytes) -> tuple[int, str, bytes]:
        received.append(data)
        return status, kind, body

    with http_server(answer) as url:
        yield url, received


def failed(reason: int) -> bytes:
    """Return the body of a response about one object that was not stored."""
    return json.dumps(
        {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [reason]}}]}}
    ).encode()


@pytest.mark.parametrize(("status", "body"), [(200, b"{}"), (202, b"{}"), (409, failed(0x0111))])
def test_an_object_that_the_server_already_has_counts_as_sent(
    status: int, body: bytes, objects: list[Dataset]
) -> None:
    with answering(status, body) as (url, received):
        send(objects, DicomWeb(url))
    assert len(received) == len(objects)  # none is repeated
    assert all(made.SOPInstanceUID.encode() in data for made, data in zip(objects, received, strict=True))


@pytest.mark.parametrize(
    ("status", "body", "retry"),
    [
        (200, failed(0xA700), True),
        (202, failed(0xC000), False),
        (400, b"", False),
        (409, b"what?", False),
        (409, failed(0xA900), False),
        (429, b"", True),
        (503, b"", True),
        (200, b"<html>", False),
    ],
)
def test_the_status_of_a_refusal_determines_the_retry(
    status: int, body: bytes, retry: bool, objects: list[Dataset]
) -> None:
    with answering(status, body) as (url, _), pytest.raises(SendFailed) as failure:
        send(objects, DicomWeb(url))
    assert failure.value.retry == retry


def test_an_html_page_as_response_is_not_a_success(objects: list[Dataset]) -> None:
    with (
        answering(200, b"<html><p>Sign in", "application/xml") as (url, _),
        pytest.raises(SendFailed) as failure,
    ):
        send(objects, DicomWeb(url))
    assert not failure.value.retry


@pytest.mark.parametrize(
    "make",
    [
        lambda: DicomNode("pacs", 104, "A" * 17),
        lambda: DicomNode("pacs", 104, "PACS", calling=" "),
        lambda: DicomWeb("pacs/dicom-web"),
        lambda: DicomWeb("https://user:secret@pacs/dicom-web"),
    ],
)
def test_an_invalid_destination_is_refused_without_showing_secrets(make: object) -> None:
    with pytest.raises(ValueError, match="AE title|DICOMweb") as refusal:
        make()
    assert "secret" not in str(refusal.value)


def test_secrets_are_not_printed() -> None:
    destination = DicomWeb("https://pacs/dicom-web", user="u", password="hidden", token="hidden")
    assert "hidden" not in f"{destination} {destination!r}"
