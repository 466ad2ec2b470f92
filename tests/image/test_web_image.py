"""The image `web`, built and run: make test-image."""

import html
import json
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
from flask import Flask

from birads_app.intake import samples
from tests.image.conftest import START, Served
from tests.project.test_docker import compose, defaults
from tests.support import buildah, dicom_files
from tests.support.buildah import Container
from tests.support.dicom_matrix import ROWS
from tests.support.factories import PASSWORD, bearer, make_token, post_files
from tests.support.orthanc import free_port
from tests.support.packages import normal, requirements

pytestmark = pytest.mark.image

SIZE_LIMIT = 800_000_000  # bytes of all files


def test_the_image_is_small(container: Container) -> None:
    sizes: dict[str, int] = {}
    seen = set()
    for path in container.files.rglob("*"):
        about = path.lstat()
        if path.is_file() and about.st_dev == container.files.stat().st_dev and about.st_ino not in seen:
            seen.add(about.st_ino)
            part = "/".join(path.relative_to(container.files).parts[:6])
            sizes[part] = sizes.get(part, 0) + about.st_size
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:15]
    print(f"{sum(sizes.values()) / 1e6:.0f} MB", [f"{part} {size / 1e6:.0f}" for part, size in largest])
    assert sum(sizes.values()) < SIZE_LIMIT, largest


def test_commands_run_as_the_unprivileged_user_without_capabilities(container: Container) -> None:
    status = container.run("cat", "/proc/self/status").stdout
    assert re.search(r"^Uid:\s+10001\s+10001\s+10001\s+10001$", status, re.MULTILINE)
    assert re.search(r"^Gid:\s+10001\s", status, re.MULTILINE)
    for name in ("CapPrm", "CapEff", "CapAmb"):
        assert re.search(rf"^{name}:\s+0+$", status, re.MULTILINE), status
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)


def test_only_the_volume_and_the_temporary_folder_are_writable(container: Container) -> None:
    """Not even for root: this is what `read_only: true` of compose.yaml gives."""
    for user in ("0", "10001"):
        places = ("/app", "/opt/venv", "/etc", "/home", "/var/tmp")
        done = container.run("touch", *(f"{place}/file" for place in places), user=user)
        assert done.returncode == 1
        assert done.stderr.count("Read-only file system") == len(places), done.stderr
    for place in ("/data", "/tmp"):
        done = container.run("sh", "-c", f"touch {place}/file && rm {place}/file")
        assert done.returncode == 0, done.stderr


def test_an_uploaded_exam_has_the_prediction_of_the_working_tree(
    served: Served, app: Flask, folder: Path
) -> None:
    exam = list(samples.SAMPLES["film-2"].read())
    response = requests.post(
        f"{served.url}/api/v1/predictions",
        files=[("file", file) for file in exam],
        headers=bearer(served.token),
        timeout=120,
    )
    assert response.status_code == 201, response.text
    expected = post_files(app.test_client(), make_token(app), *exam).get_json()
    answer = response.json()
    assert answer["model"] == expected["model"] and len(answer["images"]) == 4
    assert answer["exam"]["category"] == expected["exam"]["category"]
    for image, other in zip(answer["images"], expected["images"], strict=True):
        assert (image["file"], image["view"], image["laterality"]) == (
            other["file"],
            other["view"],
            other["laterality"],
        )
        assert image["probabilities"] == pytest.approx(other["probabilities"], abs=0.01)
    address = urljoin(served.url, response.headers["Location"])
    stored = requests.get(address, headers=bearer(served.token), timeout=30)
    assert stored.json()["exam"] == answer["exam"]


@pytest.mark.parametrize("language", ["en", "de"])
def test_pages_are_shown_in_both_languages(served: Served, language: str) -> None:
    session = requests.Session()
    session.headers["Accept-Language"] = language
    page = session.get(f"{served.url}/login", timeout=30).text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token and f'<html lang="{language}"' in page
    form = {"csrf_token": token[1], "name": "reader", "password": PASSWORD}
    worklist = session.post(f"{served.url}/login", data=form, timeout=60)
    assert worklist.ok and not worklist.url.endswith("/login")
    exams = re.findall(r'href="(/exams/[0-9a-f]{32})"', worklist.text)
    page = session.get(served.url + exams[0], timeout=60).text
    sources = set(re.findall(r'\bsrc="(/[^"]+)"', page))
    kinds = {
        session.get(served.url + html.unescape(path), timeout=60).headers["Content-Type"] for path in sources
    }
    assert {"image/png", "image/jpeg"} <= kinds
    assert all(kind.startswith(("image/", "text/javascript", "application/javascript")) for kind in kinds), (
        kinds
    )


DECODE = """
import json, sys
from pathlib import Path
from birads_app.imaging.decode import decode
print(json.dumps({file.name: decode(file.read_bytes()).pixels.shape for file in Path("/data/encoded").iterdir()}))
"""


def test_every_transfer_syntax_is_decoded(container: Container, tmp_path: Path) -> None:
    folder = container.data / "encoded"
    folder.mkdir()
    for row in ROWS:
        bits = row.bits[-1] if row.bits[-1] < 16 else 12
        raw = dicom_files.picture(bits, 96, 128).astype("u1" if bits == 8 else "u2")
        depth = {"BitsStored": bits, "HighBit": bits - 1}
        if row.syntax.is_encapsulated:
            data = dicom_files.compressed(raw, row.syntax, tmp_path, **depth)
        else:
            data = dicom_files.as_bytes(dicom_files.dataset(raw, **depth), row.syntax)
        (folder / str(row.syntax)).write_bytes(data)
    done = container.run("python", "-c", DECODE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {str(row.syntax): [96, 128] for row in ROWS}


INSTALLED = """
import importlib.util, json
from importlib import metadata
found = {each.metadata["Name"]: each.version for each in metadata.distributions()}
print(json.dumps([found, [n for n in ("tensorflow", "keras", "sklearn", "pip") if importlib.util.find_spec(n)]]))
"""


def test_the_bill_of_materials_lists_what_is_installed(container: Container) -> None:
    found, unwanted = json.loads(container.run("python", "-c", INSTALLED).stdout)
    installed = {normal(name): version for name, version in found.items()}
    bill = json.loads((container.files / "app" / "sbom.json").read_text())
    assert {each["name"]: each["version"] for each in bill["components"]} == installed
    assert installed.items() <= requirements("requirements-web.lock").items()
    assert set(requirements("requirements-web.txt")) <= installed.keys()
    assert unwanted == []


def test_the_health_check_fails_without_a_server(image: str, container: Container) -> None:
    check = buildah.configuration(image)["Healthcheck"]["Test"]
    done = container.run(*check[1:], PORT=str(free_port()))
    assert done.returncode == 1 and "no answer" in done.stderr


def test_the_receiver_is_healthy_while_it_listens(served: Served, tmp_path: Path) -> None:
    service, port = compose()["receive"], str(free_port())
    check = service["healthcheck"]["test"][1:]
    settings = defaults("receive") | {"BIRADS_DICOM_PORT": port, "BIRADS_DICOM_ALLOWED_AETS": "PACS@10.0.0.1"}
    log = tmp_path / "receive.log"
    with served.container.running(*START, *service["command"], log=log, **settings) as running:
        buildah.wait_until(lambda: not served.container.run(*check, **settings).returncode, running)
    assert served.container.run(*check, **settings).returncode == 1


def test_the_models_of_the_volume_are_kept(container: Container) -> None:
    container.run(*START, "true")
    current = container.data / "models" / "CURRENT"
    before = current.read_text()
    current.write_text(before + "ours\n")
    assert container.run(*START, "true").returncode == 0
    assert current.read_text() == before + "ours\n"
    current.write_text(before)


def test_the_container_stops_when_asked(served: Served) -> None:
    """Runs last."""
    assert served.running.stop(seconds=int(compose()["web"]["stop_grace_period"].removesuffix("s"))) == 0
