"""Models in the browser: comparison, cards, reports, promotion."""

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from birads_app.model import bundles, evaluation, registry
from birads_app.records.schema import Exam
from birads_app.web.model_card import rendered
from tests.support.factories import last_audit_entry, make_user
from tests.support.signed_exams import store_signed_exam

pytestmark = pytest.mark.usefixtures("serving_app")


@pytest.fixture
def second(folder: Path, tiny_models: Path) -> Path:
    """Install a second model that must not be promoted and has a report."""
    shipped = bundles.load(folder / "birads-demo")
    record = json.loads((shipped.path / bundles.EVALUATION).read_text())
    chance = {**record["figures"], "kappa": {"value": -0.1, "low": -0.25, "high": 0.05}}
    figures = {"figures": chance, "after": record["after"], "images": 4, "patients": 1}
    network = bundles.load(tiny_models / "birads-demo")
    kept = {key: network.manifest[key] for key in ("classes", "preprocessing", "head", "temperature")}
    about = {"title": "smote-all, split by image", "may_serve": False}
    return bundles.write(
        folder,
        "second",
        manifest={**kept, "demonstration": False, "protocol": about, "leaks": True},
        card="# second\n\n| a | b |\n|---|---|\n| <script>x</script> | [go](javascript:x) |\n",
        backbone=(network.path / bundles.BACKBONE).read_bytes(),
        head=(network.path / bundles.HEAD).read_bytes(),
        evaluation={**figures, "leaks": True},
        report="<!doctype html><style>p { color: red }</style><p>told</p>",
    )


def test_a_model_that_fails_the_protocol_is_promoted_only_with_a_reason(
    app: Flask, admin: FlaskClient, folder: Path, second: Path
) -> None:
    address = "/admin/models/second/promote"
    assert "data leakage inflates its results." in admin.get(address).text
    assert admin.post(address, data={"override": "y"}).status_code == 422
    refused = admin.post(address, data={"reason": "to try"})
    assert refused.status_code == 422 and "Tick this" in refused.text
    assert registry.current_name(folder) == "birads-demo"

    done = admin.post(address, data={"reason": "to try", "override": "y"}, follow_redirects=True)
    assert "second is now active." in done.text
    assert registry.current_name(folder) == "second"
    assert last_audit_entry(app) == ("anna", "promote against protocol", "second", "to try")
    assert "against its protocol. It was trained for comparison only" in admin.get("/models/second").text

    assert admin.post("/admin/models/rollback", data={"reason": " "}).status_code == 422
    done = admin.post("/admin/models/rollback", data={"reason": "enough"}, follow_redirects=True)
    assert "birads-demo is active again." in done.text
    assert last_audit_entry(app) == ("anna", "roll back to model", "birads-demo", "enough")
    assert admin.post("/admin/models/rollback", data={"reason": "once more"}).status_code == 404


@pytest.fixture
def phantom_model(folder: Path, tiny_models: Path) -> Path:
    """Install a model of phantoms whose report warns."""
    shipped = bundles.load(folder / "birads-demo")
    measured = json.loads((shipped.path / bundles.EVALUATION).read_text())
    network = bundles.load(tiny_models / "birads-demo")
    kept = {key: network.manifest[key] for key in ("classes", "preprocessing", "head", "temperature")}
    return bundles.write(
        folder,
        "phantom",
        manifest={**kept, "demonstration": False, "training": {"data": "/srv/first set"}},
        card="# phantom",
        backbone=(network.path / bundles.BACKBONE).read_bytes(),
        head=(network.path / bundles.HEAD).read_bytes(),
        evaluation={
            **{key: measured[key] for key in ("figures", "after")},
            "images": 40,
            "patients": 10,
            "all_images": 200,
            "all_patients": 50,
            "synthetic_images": 200,
            "protocol": "smote-train, split by patient, holdout 80:20",
            "subsets": {"training": {"patients": 32, "images": {"1": 60, "4": 68}}},
            "warnings": ["WARNING: category 4 has 3 images, too few for SMOTE."],
        },
    )


def test_the_promotion_page_says_what_a_model_was_trained_and_tested_on(
    admin: FlaskClient, phantom_model: Path
) -> None:
    page = admin.get("/admin/models/phantom/promote").text
    for text in (
        "200 images of 50 patients", "/srv/first set", "split by patient, holdout 80:20", "1: 60, 4: 68", ">32<",
        ">128<", "40 images of 10 patients", "trained on synthetic images", "on 50 patients, which is fewer than 200",
        "WARNING: category 4 has 3 images",
    ):  # fmt: skip
        assert text in page, text
    kappa = evaluation.measured(bundles.load(phantom_model))[0].kappa
    assert f"<b>{kappa.value:.2f}</b>" in page and f"{kappa.low:.2f} to {kappa.high:.2f}" in page
    shipped = admin.get("/admin/models/birads-demo/promote").text
    record = bundles.read_evaluation(phantom_model.parent / "birads-demo")
    assert f"{record['all_images']:,} images of {record['all_patients']} patients" in shipped
    # Demonstration models of earlier versions list the images of each public set in the manifest.
    former = evaluation._subsets({}, {"images": {"CDD-CESM": [161, 41, 68]}})
    assert [(one.name, one.images[""]) for one in former][:2] == [
        ("CDD-CESM, training", 161),
        ("CDD-CESM, validation", 41),
    ]


def test_a_model_with_cautions_needs_a_reason_and_keeps_its_banner(
    app: Flask, admin: FlaskClient, folder: Path, phantom_model: Path, runner: FlaskCliRunner
) -> None:
    banner = "“phantom” is not to be relied on."
    for address in ("/models/phantom", "/admin/models/phantom/promote"):
        assert banner in admin.get(address).text
    assert banner not in admin.get("/").text and "not for diagnosis" in admin.get("/admin/models").text
    assert "not for diagnosis" in admin.get("/admin/models/compare?name=phantom").text
    assert admin.post("/admin/models/phantom/promote", data={"reason": "  "}).status_code == 422
    refused = runner.invoke(args=["models", "promote", "phantom"])
    assert (
        refused.exit_code == 1 and "synthetic images" in refused.output and "--reason TEXT" in refused.output
    )
    assert registry.current_name(folder) == "birads-demo"
    done = runner.invoke(args=["models", "promote", "phantom", "--reason", "to see the steps"])
    assert done.exit_code == 0, done.output
    assert last_audit_entry(app) == ("console", "promote despite cautions", "phantom", "to see the steps")
    card = admin.get("/models/phantom").text
    assert "despite its cautions. It was trained on synthetic images" in card
    assert "Reason given: to see the steps" in card
    serving = SimpleNamespace(bundle=bundles.load(phantom_model))
    app.extensions["birads_models"] = SimpleNamespace(get=lambda: serving)
    for address in ("/", "/upload", "/practice/", "/account", "/admin/", "/admin/settings", "/exams/none"):
        assert banner in admin.get(address).text, address


def test_an_exam_keeps_the_banner_of_its_model_that_is_gone(app: Flask, admin: FlaskClient) -> None:
    make_user(app)

    def by_phantom(exam: Exam, _: object) -> None:
        exam.model, exam.demonstration = "gone", True

    exam = store_signed_exam(app, "4", change=by_phantom)
    for address in (f"/exams/{exam}", f"/exams/{exam}/report"):
        page = admin.get(address).text
        assert "is that of a model which is not to be relied on: “gone”" in page
        assert "Demonstration model." in page  # of the model in service


def test_the_command_writes_the_same_entry(app: Flask, folder: Path, runner: FlaskCliRunner) -> None:
    shutil.copytree(folder / "birads-demo", folder / "copy", copy_function=os.link)
    result = runner.invoke(args=["models", "promote", "copy", "--reason", "newer"])
    assert result.exit_code == 0, result.output
    assert last_audit_entry(app) == ("console", "promote despite cautions", "copy", "newer")


def test_a_damaged_model_is_reported_and_not_promoted(admin: FlaskClient, folder: Path, second: Path) -> None:
    (second / bundles.HEAD).write_bytes(b"spoilt")
    assert "head.pb of model second was changed or is damaged" in admin.get("/admin/models").text
    assert admin.post("/admin/models/second/promote", data={"reason": "x"}).status_code == 503
    assert registry.current_name(folder) == "birads-demo"


def test_models_are_compared_side_by_side(admin: FlaskClient, folder: Path, second: Path) -> None:
    shipped, other = (evaluation.measured(bundles.load(folder / name)) for name in ("birads-demo", "second"))
    assert [one.images_of for one in shipped] == [""]
    assert [(one.images_of, one.leaks) for one in other] == [("", True)]
    page = admin.get("/admin/models/compare?name=birads-demo&name=second").text
    kappa = shipped[0].kappa
    assert f"<b>{kappa.value:.2f}</b>" in page and f"{kappa.low:.2f} to {kappa.high:.2f}" in page
    assert "data leakage" in page and "4 images of 1 patient<" in page
    zeros = re.findall(r'class="interval-zero" x1="([\d.]+)"', page)
    values = re.findall(r'class="interval-value" cx="([\d.]+)"', page)
    assert len(zeros) == 2 and len(set(zeros)) == 1  # of the kappas
    assert float(values[-3]) < float(zeros[0]) < float(values[1])  # the second model's, the first one's
    assert admin.get("/admin/models/compare?name=nothing").status_code == 404


def test_a_report_cannot_run_scripts_or_load_files(
    admin: FlaskClient, second: Path, phantom_model: Path
) -> None:
    answer = admin.get("/admin/models/second/report")
    assert "told" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "script-src" not in policy
    assert admin.get("/admin/models/birads-demo/report").status_code == 200
    assert admin.get(f"/admin/models/{phantom_model.name}/report").status_code == 404
    assert admin.get("/admin/models/..%2Fsecond/report").status_code == 404


def test_a_card_is_rendered_without_unsafe_markup(admin: FlaskClient, second: Path) -> None:
    page = admin.get("/models/second").text
    assert "<table>" in page and "&lt;script&gt;x&lt;/script&gt;" in page
    assert 'href="javascript' not in page and page.count("<h1>") == 1
    assert "<img" not in rendered("![far](https://elsewhere.example/x.png)")


def test_dates_in_a_card_have_the_format_of_the_pages(app: Flask) -> None:
    card = (
        "Trained 2026-11-27T14:05:00+02:00 on `2026-11-23`, set-2026-11-23 and 2026-13-40, from 2026-11-23."
    )
    for language, moment, day in (
        ("en", "27 Nov 2026, 12:05 UTC", "23 Nov 2026"),
        ("de", "27.11.2026, 12:05 UTC", "23.11.2026"),
    ):
        with app.test_request_context(headers={"Accept-Language": language}):
            shown = f"Trained {moment} on <code>2026-11-23</code>, set-2026-11-23 and 2026-13-40, from {day}."
            assert shown in rendered(card)
