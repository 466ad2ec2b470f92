"""Static checks of the Docker files; test_docker_steps.py runs their steps, and tests/image the image."""

import re
import runpy
from typing import Any

import pytest
import yaml

from birads_app import config
from birads_app.compute.process import Limits
from tests.support.dockerfile import ROOT, Stage, copies, is_ignored, last, lineage, patterns, stages

FINAL = ("web", "cluster", "train")
DOCUMENTED = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "settings.md").read_text("utf-8"), re.M))
# Settings that compose.yaml does not pass on, and why.
LEFT_OUT = {
    "BIRADS_INSTANCE": "the image sets it",
    "BIRADS_MODELS": "the image sets it",
    "BIRADS_ENGINE": "the image web has no TensorFlow",
    "BIRADS_TRAINING_DATA_DIRS": "the image web cannot train; the service train reads its volume",
    "BIRADS_DICOM_PORT": "DICOM_PORT publishes the one in the container",
    "HOST": "the image sets it",
    "PORT": "it publishes the one in the container",
}
FOR_PAGES = {name for name in DOCUMENTED if name.startswith(("BIRADS_OIDC_", "WEB_"))} | {
    "BIRADS_PASSWORD_SIGN_IN",
    "FORWARDED_ALLOW_IPS",
}
SERVER_AND_MODEL = (
    1 << 30
)  # bytes of a server and its model, with room to spare: docs/docker.md has those measured


@pytest.fixture(scope="module")
def dockerfile() -> dict[str, Stage]:
    return stages()


def test_the_web_image_is_the_default_and_every_stage_has_a_pinned_base(dockerfile: dict[str, Stage]) -> None:
    assert list(dockerfile)[-1] == "web"
    assert re.search(r"ARG PYTHON_IMAGE=python:3\.11\.\d+-slim-\w+\n", (ROOT / "Dockerfile").read_text())
    assert all(
        stage.parent in dockerfile or stage.parent == "${PYTHON_IMAGE}" for stage in dockerfile.values()
    )


@pytest.mark.parametrize("target", FINAL)
def test_the_image_runs_without_privileges(dockerfile: dict[str, Stage], target: str) -> None:
    user = last(lineage(dockerfile, target), "USER")
    assert user and user.partition(":")[0] not in {"root", "0"}


def test_the_web_image_has_a_health_check(dockerfile: dict[str, Stage]) -> None:
    check = last(lineage(dockerfile, "web"), "HEALTHCHECK")
    assert check and "/app/docker/healthcheck.py" in check


def test_copied_files_exist_and_are_not_ignored(dockerfile: dict[str, Stage]) -> None:
    for stage in dockerfile.values():
        for sources, _ in copies(list(stage.steps)):
            for source in sources:
                assert (ROOT / source).exists(), f"{source} does not exist"
                assert not is_ignored(source.rstrip("/"), patterns()), f"{source} is in .dockerignore"


@pytest.mark.parametrize(
    "path",
    ["instance/birads.sqlite3", ".env", ".git/config", ".venv/bin/python", "tests/conftest.py", "scan.dcm",
     "training-data/1/a.png", "birads_app/__pycache__/config.cpython-311.pyc", "models/.draft/head.pb"],
)  # fmt: skip
def test_private_files_are_ignored(path: str) -> None:
    assert is_ignored(path, patterns())


def test_the_web_image_installs_no_tensorflow(dockerfile: dict[str, Stage]) -> None:
    installs = re.findall(r"pip install ([^&|;]+)", str(lineage(dockerfile, "build-web")))
    assert [re.split(r"['\"]", line)[0].strip() for line in installs] == ["-r requirements-web.lock"]
    assert "--from=build-web" in str(dockerfile["web"].steps)
    assert "--from=build-train" in str(dockerfile["train"].steps)


def compose() -> dict[str, dict[str, Any]]:
    """The services of compose.yaml."""
    services: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return services


def own() -> dict[str, dict[str, Any]]:
    """The services of compose.yaml that run the product."""
    return {name: service for name, service in compose().items() if "build" in service}


def test_compose_drops_privileges() -> None:
    services = compose()
    tiers = dict.fromkeys(("migrate", "web-tier", "compute", "receive-tier"), "cluster")
    assert {name: service["build"]["target"] for name, service in own().items()} == {
        "web": "web",
        "receive": "web",
        "train": "train",
        **tiers,
    }
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
    for service in own().values():
        assert any(volume.startswith("data:/data") for volume in service["volumes"])
    assert services["web"]["ports"][0].startswith("127.0.0.1:")
    assert services["web"]["healthcheck"]["test"][0] == "CMD"
    assert services["train"]["profiles"] == ["train"]


def test_the_single_machine_starts_nothing_of_the_others() -> None:
    assert [name for name, service in compose().items() if "profiles" not in service] == ["web"]
    full = {name for name, service in compose().items() if service.get("profiles") == ["full"]}
    assert full == {
        "proxy", "web-tier", "compute", "receive-tier", "migrate", "postgres", "redis", "store", "prometheus", "grafana"
    }  # fmt: skip


def test_services_of_others_are_pinned_limited_and_checked() -> None:
    for name, service in compose().items():
        if name in own():
            continue
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+(\.\d+)?(-\w+)?", service["image"]), service["image"]
        assert service["mem_limit"] and service["healthcheck"]["test"][0] == "CMD"
        for volume in service.get("volumes", ()):
            if volume.startswith("./"):
                assert (ROOT / volume.partition(":")[0]).is_file(), volume


def test_stores_are_reached_by_the_tiers_alone() -> None:
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert document["networks"]["stores"] == {"internal": True}
    for name in ("postgres", "redis", "store"):
        assert compose()[name]["networks"] == ["stores"] and "ports" not in compose()[name]


def test_the_tiers_start_after_the_migration_and_their_checks_exist() -> None:
    services = compose()
    assert services["migrate"]["entrypoint"] == ["sh", "/app/docker/entrypoint.sh"]
    for name in ("web-tier", "compute", "receive-tier"):
        service = services[name]
        assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert service["entrypoint"] == []
        check = service["healthcheck"]["test"]
        assert check[:2] == ["CMD", "python"] and (ROOT / check[2].removeprefix("/app/")).is_file()


def test_no_secret_is_written_in_the_file() -> None:
    for service in compose().values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|_KEY|DATABASE_URL|REDIS_URL", name) and value:
                assert name in ("BIRADS_TOKEN_MAX_DAYS",) or str(value).startswith("/run/secrets/"), name


def test_services_have_the_time_to_finish_what_runs() -> None:
    graceful = runpy.run_path(str(ROOT / "gunicorn.conf.py"))["graceful_timeout"]
    for service in own().values():
        assert int(service["stop_grace_period"].removesuffix("s")) >= graceful + 10


@pytest.mark.parametrize(
    ("name", "workers"),
    [
        ("web", "WEB_CONCURRENCY"),
        ("receive", None),
        ("web-tier", "WEB_CONCURRENCY"),
        ("compute", None),
        ("receive-tier", None),
    ],
)
def test_the_memory_suffices_for_the_limits_of_all_processes(name: str, workers: str | None) -> None:
    """Hostile files in all processes at once do not take the memory of the others."""
    service, environment = compose()[name], defaults(name)
    limit = int(re.search(r":-(\d+)g}", service["mem_limit"])[1]) << 30
    servers = int(environment[workers]) if workers else 1
    reading = int(environment["BIRADS_COMPUTE_PROCESSES"]) * Limits().memory
    arriving = (
        (int(environment["BIRADS_DICOM_MAX_ASSOCIATIONS"]) * 256 << 20) if name.startswith("receive") else 0
    )
    in_files = int(re.search(r"size=(\d+)g", service["tmpfs"][0])[1]) << 30
    assert servers * (reading + SERVER_AND_MODEL) + arriving + in_files <= limit


def test_the_receiver_is_optional_and_starts_after_the_web_server() -> None:
    service = compose()["receive"]
    assert service["profiles"] == ["dicom"] and service["command"] == ["flask", "dicom", "receive"]
    assert service["depends_on"] == {"web": {"condition": "service_healthy"}}
    check = service["healthcheck"]["test"]  # the image's own asks the web server
    assert check[:2] == ["CMD", "python"] and (ROOT / check[2].removeprefix("/app/")).is_file()


def test_compose_passes_on_every_setting() -> None:
    assert set(LEFT_OUT) <= DOCUMENTED
    passed = {name: set(service["environment"]) for name, service in own().items()}
    assert passed["web"] == DOCUMENTED - set(LEFT_OUT) - {"BIRADS_DICOM_BIND"}
    assert passed["receive"] == DOCUMENTED - set(LEFT_OUT) - FOR_PAGES
    assert passed["train"] == passed["receive"] - {"BIRADS_DICOM_BIND"}
    stores = set(yaml.safe_load((ROOT / "compose.yaml").read_text())["x-tiers"])
    assert passed["web-tier"] == passed["web"] | stores
    assert passed["compute"] == passed["migrate"] == passed["train"] | stores
    assert passed["receive-tier"] == passed["receive"] | stores


def test_all_tiers_reach_the_store() -> None:
    for name in ("migrate", "web-tier", "compute", "receive-tier"):
        service, given = compose()[name], defaults(name)
        assert given["AWS_ENDPOINT_URL"] == "http://store:8333" and given["AWS_DEFAULT_REGION"]
        assert given["BIRADS_FILES_URL"].startswith("s3://")
        folder = given["AWS_SHARED_CREDENTIALS_FILE"].rpartition("/")[0]
        assert any(volume.endswith(f":{folder}:ro") for volume in service["volumes"]), name


def test_files_with_secrets_are_mounted_where_the_documents_say() -> None:
    file = re.search(
        r"BIRADS_OIDC_CLIENT_SECRET_FILE=(\S+)/", (ROOT / "docs" / "administration.md").read_text()
    )
    assert file and any(f":{file[1]}:ro" in volume for volume in compose()["web"]["volumes"])


@pytest.mark.parametrize("name", ["web", "receive", "web-tier", "compute", "receive-tier", "migrate"])
def test_compose_sets_only_known_settings(name: str) -> None:
    settings = config.read({one: value for one, value in defaults(name).items() if one in DOCUMENTED})
    if name.startswith("receive"):
        port = compose()[name]["ports"][0].rpartition(":")[2]
        assert int(port) == settings.dicom_port and settings.dicom_bind == "0.0.0.0"


def defaults(service: str) -> dict[str, str]:
    """Default environment of a service."""
    environment = compose()[service]["environment"]
    return {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in environment.items() if value}
