"""The Grafana dashboard and the alert rules use only figures that /metrics serves, and sections that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from birads_app.monitoring import instruments
from birads_app.web import prometheus

DOCS = Path(__file__).resolve().parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "monitoring" / "grafana-dashboard.json").read_text("utf-8"))
RULES = yaml.safe_load((DOCS / "monitoring" / "alerts.yml").read_text("utf-8"))
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "gauge": ("",),
    "info": ("_info",),
}
OF_PROMETHEUS = {"up"}
WITH_REDIS = {"birads_queue_jobs": {"urgency"}, "birads_compute_processes": set()}
FUNCTIONS = frozenset(("sum", "max", "min", "rate", "increase", "histogram_quantile", "time", "abs"))
FUNCTIONS |= {"min_over_time", "vector"}
WORDS = {"by", "or", "on", "and", "e9", "m", "h", "__rate_interval"}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def alerts() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    yield from (rule["expr"] for rule in alerts())


def served(client: FlaskClient) -> dict[str, set[str]]:
    """Return the labels of every figure that /metrics serves, by name as Prometheus stores it."""
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        kind = "info" if family.name.endswith("_info") else family.type
        stem = family.name.removesuffix("_info")
        for suffix in SUFFIXES[kind]:
            labels[stem + suffix] = {label for sample in family.samples for label in sample.labels}
        if kind == "histogram":
            labels[stem + "_bucket"].add("le")
    for instrument in instruments.INSTRUMENTS.values():
        for suffix in SUFFIXES.get(instrument.kind, ("",)):
            labels[instrument.name + suffix] |= set(instrument.labels)
    for name in ("birads_drift_change", "birads_drift_fit", "birads_drift_exams"):
        labels[name].add("model")  # once there are assessments
    labels |= WITH_REDIS
    labels["birads_model_info"] = {"name"}  # once there is a model
    return labels


def names_and_labels(expression: str) -> tuple[set[str], set[str]]:
    """Return the figures and the labels of a PromQL expression."""
    without_values = re.sub(r'"[^"]*"', '""', expression)
    labels = set(re.findall(r'(\w+)\s*=~?\s*""', without_values))
    for group in re.findall(r"by \(([^)]*)\)", without_values):
        labels |= set(re.findall(r"\w+", group))
    names = set(re.findall(r"[a-z_][a-z_0-9]*", re.sub(r"by \([^)]*\)|\{[^}]*\}", "", without_values)))
    return names - FUNCTIONS - WORDS, labels


def test_every_expression_uses_figures_and_labels_that_exist(client: FlaskClient) -> None:
    exist = served(client)
    for expression in expressions():
        names, labels = names_and_labels(expression)
        assert names, expression
        assert names <= exist.keys() | OF_PROMETHEUS, expression
        known = set().union({"job"}, *(exist.get(name, set()) for name in names))
        assert labels <= known, expression
        for opening, closing in ("()", "[]", "{}"):
            assert expression.count(opening) == expression.count(closing), expression


def test_the_check_notices_unknown_figures_and_labels() -> None:
    expression = 'sum by (reason, le) (rate(birads_no_such_total{state="x"}[5m]))'
    assert names_and_labels(expression) == ({"birads_no_such_total"}, {"reason", "le", "state"})


def test_every_figure_is_on_the_dashboard_or_in_a_rule_and_documented(client: FlaskClient) -> None:
    used = set().union(*(names_and_labels(expression)[0] for expression in expressions()))
    documented = (DOCS / "operations.md").read_text("utf-8")
    for family in text_string_to_metric_families(client.get("/metrics").text):
        assert f"`{family.name}" in documented, family.name
        if family.name != "birads_drift_exams":
            assert any(name.startswith(family.name) for name in used), family.name


def test_every_alert_is_complete_and_names_a_section_that_exists() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^#+ (.*)$", (DOCS / page).read_text("utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, anchor
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


def test_every_panel_has_a_place_of_its_own() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"


def test_the_parts_of_the_state_have_names_of_their_own() -> None:
    names = [part.name for part in prometheus._PARTS]
    assert len(set(names)) == len(names)
