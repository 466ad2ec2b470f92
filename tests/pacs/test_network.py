"""From a modality to a PACS and back, with real processes, Orthanc and real mammograms."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import call_counts, orthanc, processes
from tests.support.dicom_tools import tool
from tests.support.phi_markers import UID, dicom_with_phi, phi_below, phi_in
from tests.support.receiver import Receiver, real_exams, receiver, wait_until

pytestmark = pytest.mark.slow


def by_stow(server: orthanc.Orthanc) -> dict[str, str]:
    """Settings that send results to Orthanc by STOW-RS, and fetch from it."""
    return {
        "BIRADS_PACS_DICOMWEB_URL": server.dicom_web,
        "BIRADS_PACS_DICOMWEB_USER": orthanc.USER,
        "BIRADS_PACS_DICOMWEB_PASSWORD": orthanc.PASSWORD,
    }


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Eight real images of two exams."""
    return real_exams(tmp_path_factory.mktemp("real"), scale=4)


def results(server: orthanc.Orthanc, study: str) -> list[str]:
    """List the modalities of this product's objects in a study."""
    found = server.instances(study).values()
    return sorted(tags["Modality"] for tags in found if tags["SeriesNumber"] in ("9001", "9002"))


@contextlib.contextmanager
def killed(receiver: Receiver) -> Iterator[None]:
    """Run a receiver, killed on exit."""
    process = receiver.start()
    try:
        yield
    finally:
        process.kill()
        process.wait()


def images_of(receiver: Receiver) -> list[int]:
    """Count the images with a prediction, per exam."""
    return [count for (count,) in receiver.query(
        "SELECT count(*) FROM images WHERE prediction->>'category' IN ('1','2','3','4','5') "
        "GROUP BY exam_id ORDER BY 1"
    )]  # fmt: skip


@pytest.mark.parametrize("way", [orthanc.Orthanc.as_destination, by_stow], ids=["C-STORE", "STOW-RS"])
def test_eight_images_give_two_exams_and_results_arrive_once_despite_kills(
    way: Callable[[orthanc.Orthanc], dict[str, str]],
    studies: dict[str, list[Path]],
    tiny_models: Path,
    empty_instance: Path,
    tmp_path: Path,
) -> None:
    tool("storescu")
    files = [path for study in studies.values() for path in study]
    server = orthanc.Orthanc(orthanc.free_port(), orthanc.free_port())  # down for now
    peer = receiver(tmp_path, tiny_models, empty_instance, **way(server))
    with killed(peer):  # between image and result
        assert peer.store(*files) == 0
    assert peer.exams() == 0
    with killed(
        peer
    ):  # while the second study is judged, and there is nowhere to send the first one's results
        wait_until(lambda: peer.query("SELECT 1 FROM deliveries WHERE attempts > 0"))
    with peer.running():
        wait_until(lambda: peer.exams() == 2)
        assert images_of(peer) == [4, 4] and peer.sent() == 0
        assert "cannot be reached" in peer.flask("dicom", "status")
        with orthanc.serve(tmp_path, server.dicom_port, server.http_port):
            wait_until(lambda: peer.sent() == 2)
            assert peer.store(*files[:4]) == 0  # the same again
            wait_until(lambda: not peer.idle())
            wait_until(peer.idle)
            for study in studies:
                assert results(server, study) == ["OT"] * 4 + ["SR"]
    assert images_of(peer) == [4, 4]
    hidden = {path.name for path in (peer.instance / "images").iterdir() if path.name.startswith(".")}
    assert not hidden - {".trim.lock"}  # of a folder that caches a bucket


def test_studies_are_fetched_once_by_wado_rs_and_results_sent_by_stow_rs(
    tiny_models: Path, empty_instance: Path, tmp_path: Path
) -> None:
    studies = real_exams(tmp_path, scale=4)
    with orthanc.serve(tmp_path) as server:
        counting = call_counts.settings(tmp_path / "counts") | {"BIRADS_COMPUTE_PROCESSES": "2"}
        ours = receiver(tmp_path, tiny_models, empty_instance, **by_stow(server), **counting)
        pacs = Receiver(tmp_path, server.dicom_port, {})
        for paths in studies.values():
            assert pacs.store(*paths, called=server.title) == 0
        days = ["--from", "2020-01-01", "--to", "2020-02-01"]
        assert "Images fetched: 0." in ours.flask("dicom", "fetch", "--from", "20200201", "--to", "20200202")
        assert "Studies with new images: 2 of 2. Images fetched: 8." in ours.flask("dicom", "fetch", *days)
        assert images_of(ours) == [4, 4] and ours.sent() == 2
        sent = [path for paths in studies.values() for path in paths]
        counts = call_counts.counted(tmp_path / "counts", sent)
        assert counts == {"parsed": [1] * 8, "decoded": [1] * 8}
        for study, paths in studies.items():
            assert results(server, study) == ["OT"] * 4 + ["SR"]
            assert len(server.instances(study)) == len(paths) + 5
        # Neither stored images nor the results that were sent back count as new.
        (first, *_) = studies
        said = ours.flask("dicom", "fetch", "--study", first)
        assert "0 of 1. Images fetched: 0." in said and ours.exams() == 2 and ours.idle()
        ours = ours.having(BIRADS_PACS_DICOMWEB_PASSWORD="guess")
        refused = processes.flask(ours.instance, "dicom", "fetch", "--study", first, **ours.settings)
        assert refused.returncode == 1 and "HTTP status 401" in refused.stderr
        assert "Traceback" not in refused.stderr and first not in refused.stderr


@pytest.mark.parametrize("way", [orthanc.Orthanc.as_destination, by_stow], ids=["C-STORE", "STOW-RS"])
def test_a_patient_name_is_never_on_disk(
    way: Callable[[orthanc.Orthanc], dict[str, str]],
    tiny_models: Path,
    empty_instance: Path,
    tmp_path: Path,
) -> None:
    sent = tmp_path / "sent.dcm"
    sent.write_bytes(dicom_with_phi())
    assert len(phi_in(sent.read_bytes())) == 4
    with orthanc.serve(tmp_path) as server:
        counting = call_counts.settings(tmp_path / "counts") | {"BIRADS_COMPUTE_PROCESSES": "2"}
        peer = receiver(
            tmp_path, tiny_models, empty_instance, **way(server), **counting, BIRADS_DICOM_STABLE_S="2"
        )
        with peer.running():
            assert peer.store(sent) == 0
            assert not peer.idle() and phi_below(peer.instance) == []
            wait_until(lambda: peer.exams() and phi_below(peer.instance) == [])
            wait_until(peer.sent)
        assert results(server, f"{UID}.7") == ["OT", "SR"]
    assert call_counts.counted(tmp_path / "counts", [sent]) == {"parsed": [1], "decoded": [1]}
    assert phi_below(peer.instance) == [] and phi_in(peer.log.read_bytes()) == []
    assert phi_in(peer.flask("dicom", "status").encode()) == []
