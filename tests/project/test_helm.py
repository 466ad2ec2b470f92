"""The Helm chart: rendered by Helm itself, valid by Kubernetes' schemas, safe by rules of our own.

No cluster is needed. Not checked by a schema: ScaledObject (KEDA) and ServiceMonitor (Prometheus operator), whose
definitions no package brings along.
"""

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from birads_app import config
from birads_app.compute.process import Limits
from tests.project.test_docker import DOCUMENTED
from tests.support import helm
from tests.support.packages import ROOT

CHART = ROOT / "docker" / "helm" / "birads"
EVERYTHING: dict[str, Any] = {
    "receive": {"enabled": True, "sources": ["10.1.0.0/16"]},
    "dask": {"enabled": True},
    "compute": {"autoscaling": {"enabled": True}},
    "serviceMonitor": {"enabled": True},
    "networkPolicy": {"to": [{"cidr": "10.2.0.0/24", "ports": [5432, 6379, 443]}]},
    "models": {"claim": "birads-models"},
    "files": {"url": "file:///files/birads", "claim": "birads-files"},
}
VALUES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "endpoint": {"files": {"endpoint": "http://store:9000"}, "networkPolicy": {"enabled": False}},
}
# The oldest version that Chart.yaml allows among those whose schemas are packaged, and the newest.
VERSIONS = ("1.27", "1.31", "1.37")
WITHOUT_SCHEMA = {"ScaledObject", "ServiceMonitor"}
Manifest = dict[str, Any]


def rendered(values: dict[str, Any]) -> list[Manifest]:
    texts = helm.render(str(CHART), values)
    return [found for text in texts.values() for found in yaml.safe_load_all(text) if found]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield (name, pod specification) of everything that starts pods."""
    for one in manifests:
        if "template" in one.get("spec", {}):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (one for one in manifests if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def test_helm_finds_no_fault() -> None:
    found = helm.lint(str(CHART))
    assert found["total_charts_linted"] == 1 and not found["errors"]
    assert [one["error"] for one in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", VALUES)
def test_manifests_fit_the_schemas_of_kubernetes(name: str, version: str) -> None:
    manifests = rendered(VALUES[name])
    checked = [one for one in manifests if one["kind"] not in WITHOUT_SCHEMA]
    for one in checked:
        kubernetes_validate.validate(one, version, strict=True)
    assert {"Deployment", "Job", "Service", "Ingress", "PodDisruptionBudget"} <= {
        one["kind"] for one in checked
    }


def test_the_schemas_find_a_misspelt_member() -> None:
    manifest = named(rendered({}), "Deployment", "birads-web")
    manifest["spec"]["template"]["spec"]["securityContexts"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", VALUES)
def test_every_pod_runs_without_privileges_and_within_limits(name: str) -> None:
    found = dict(pods(rendered(VALUES[name])))
    assert {"birads-web", "birads-compute", "birads-migrate"} <= found.keys()
    for spec in found.values():
        context = spec["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] and own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            mounted = {one["name"] for one in container["volumeMounts"]}
            assert mounted == {one["name"] for one in spec["volumes"]} >= {"data", "tmp"}


def test_every_lasting_pod_has_probes_that_exist() -> None:
    for name, spec in pods(rendered(EVERYTHING)):
        if name == "birads-migrate":
            continue
        (container,) = spec["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            check = container[probe]
            if "exec" in check:
                script = check["exec"]["command"][1].removeprefix("/app/")
                assert (ROOT / script).is_file()
            else:
                assert check["httpGet"]["path"] in ("/healthz", "/readyz")
                assert check["httpGet"]["httpHeaders"] == [
                    {"name": "Host", "value": "reader.hospital.example"}
                ]


@pytest.mark.parametrize("name", VALUES)
def test_pods_get_only_known_settings_and_secrets_by_reference(name: str) -> None:
    secret = {"BIRADS_DATABASE_URL", "BIRADS_REDIS_URL", "BIRADS_SECRET_KEY", "BIRADS_SITE_KEY"}
    for _, spec in pods(rendered(VALUES[name])):
        (container,) = spec["containers"]
        given = {one["name"]: one for one in container["env"]}
        assert len(given) == len(container["env"])
        assert {one for one in given if not one.startswith("AWS_")} <= DOCUMENTED | {"BIRADS_FILES_URL"}
        for one in given.values():
            hidden = one["name"] in secret or one["name"] in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            assert ("valueFrom" in one) == hidden
        plain = {
            one: entry["value"] for one, entry in given.items() if "value" in entry and one in DOCUMENTED
        }
        config.read(
            plain
            | {
                "BIRADS_DATABASE_URL": "postgresql://u:p@db/birads",
                "BIRADS_REDIS_URL": "redis://redis:6379/0",
            }
            | {"BIRADS_SECRET_KEY": "k" * 32, "BIRADS_SITE_KEY": "s" * 32}
        )


def test_all_pods_of_the_service_reach_the_store() -> None:
    values = {
        "files": {"endpoint": "http://store:9000", "region": "eu-central-1"},
        "receive": EVERYTHING["receive"],
    }
    found = dict(pods(rendered(values)))
    assert {"birads-web", "birads-compute", "birads-receive", "birads-migrate"} == found.keys()
    for spec in found.values():
        given = {one["name"]: one for one in spec["containers"][0]["env"]}
        assert given["AWS_ENDPOINT_URL"]["value"] == "http://store:9000"
        assert given["AWS_DEFAULT_REGION"]["value"] == "eu-central-1"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            key = given[name]["valueFrom"]["secretKeyRef"]
            assert key == {"name": "birads", "key": name.lower().replace("_", "-")}


def test_the_memory_of_a_compute_pod_suffices_for_the_limits_of_its_processes() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())["compute"]
    limit = int(re.fullmatch(r"(\d+)Gi", values["resources"]["limits"]["memory"])[1]) << 30
    assert values["processes"] * Limits().memory + (1 << 30) <= limit


def test_a_new_web_pod_answers_before_an_old_one_ends() -> None:
    manifests = rendered({})
    web = named(manifests, "Deployment", "birads-web")
    assert web["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert (
        web["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 70 + 10
    )  # graceful_timeout, preStop
    job = named(manifests, "Job", "birads-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert "command" not in container  # the image's entrypoint migrates
    for name, spec in pods(manifests):
        assert name == "birads-migrate" or "command" in spec["containers"][0], "the entrypoint would migrate"


def test_selectors_find_their_own_pods_alone() -> None:
    manifests = rendered(EVERYTHING)
    labels = [
        one["spec"]["template"]["metadata"]["labels"]
        for one in manifests
        if "template" in one.get("spec", {})
    ]
    for one in manifests:
        selector = one.get("spec", {}).get("selector")
        if one["kind"] == "ServiceMonitor" or not selector:
            continue
        wanted = selector.get("matchLabels", selector)
        assert sum(wanted.items() <= found.items() for found in labels) == 1, one["metadata"]["name"]


def test_only_the_release_reaches_dask_and_nobody_the_compute_pods() -> None:
    policies = {
        one["metadata"]["name"]: one["spec"] for one in rendered(EVERYTHING) if one["kind"] == "NetworkPolicy"
    }
    assert policies["birads"]["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "birads"
    assert "ingress" not in policies["birads"] and "Egress" in policies["birads"]["policyTypes"]
    assert "birads-compute" not in policies
    (source,) = policies["birads-dask"]["ingress"][0]["from"]
    assert source["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "birads"


def test_the_queue_sets_the_number_of_compute_pods() -> None:
    manifests = rendered(EVERYTHING)
    assert "replicas" not in named(manifests, "Deployment", "birads-compute")["spec"]
    scaled = named(manifests, "ScaledObject", "birads-compute")["spec"]
    assert scaled["scaleTargetRef"]["name"] == "birads-compute"
    (trigger,) = scaled["triggers"]
    metric = re.search(r"birads_\w+", trigger["metadata"]["query"])[0]
    assert f"| `{metric}` |" in (ROOT / "docs" / "operations.md").read_text("utf-8")


@pytest.mark.parametrize(
    "values",
    [
        {"web": {"replica": 2}},
        {"files": {"url": "/srv/files"}},
        {"receive": {"sources": ["10.1.2.3"]}},
        {"settings": {"DEBUG": "1"}},
    ],
    ids=["misspelt", "no address", "no network", "no setting"],
)
def test_wrong_values_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm.Refused):
        helm.render(str(CHART), values)
