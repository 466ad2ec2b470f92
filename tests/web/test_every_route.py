"""Every route as every role: who gets in, and with which status. A route without a row fails."""

import runpy
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.records import tokens, users
from birads_app.records.schema import Role
from tests.support.factories import bearer, make_user, sign_in
from tests.support.packages import ROOT

PEOPLE = (Role.RADIOLOGIST, Role.AUDITOR, Role.ADMIN)
# Endpoint, method, and the status for a visitor, a radiologist, an auditor and an administrator; ``in`` leads to the
# sign-in page. A token opens no page: it is answered like a visitor, unless statuses follow for a token of the scopes
# read, upload and admin, each of an administrator. Nothing exists that an address names, and forms are empty.
TABLE = """
account.login                   GET   200  302  302  302
account.login                   POST  422  302  302  302
account.logout                  POST  in   in   in   in
account.second_step             GET   in   in   in   in
account.second_step             POST  in   in   in   in
account.setup                   GET   404  404  404  404
account.setup                   POST  404  404  404  404
admin.account                   GET   in   403  404  404
admin.accounts                  GET   in   403  200  200
admin.accounts                  POST  in   403  403  422
admin.activate                  POST  in   403  403  404
admin.audit                     GET   in   403  200  200
admin.bin                       GET   in   403  200  200
admin.change_role               POST  in   403  403  404
admin.compare                   GET   in   403  200  200
admin.check_dataset             POST  in   403  403  409
admin.dataset_check             GET   in   403  404  404
admin.dataset_check_progress    GET   in   403  404  404
admin.datasets                  GET   in   403  200  200
admin.datasets                  POST  in   403  403  422
admin.unpacking_progress        GET   in   403  200  200
admin.deactivate                GET   in   403  404  404
admin.deactivate                POST  in   403  403  404
admin.delete_dataset            GET   in   403  404  404
admin.delete_dataset            POST  in   403  403  404
admin.delete_exams              GET   in   403  400  400
admin.delete_exams              POST  in   403  403  400
admin.delete_model              GET   in   403  404  404
admin.delete_model              POST  in   403  403  404
admin.download_model            GET   in   403  403  404
admin.drop_job                  GET   in   403  404  404
admin.drop_job                  POST  in   403  403  404
admin.end_sessions              POST  in   403  403  404
admin.erase_exam                GET   in   403  404  404
admin.erase_exam                POST  in   403  403  404
admin.export_audit              GET   in   403  200  200
admin.log_page                  GET   in   403  200  200
admin.models                    GET   in   403  200  200
admin.network_page              GET   in   403  200  200
admin.overview                  GET   in   403  200  200
admin.progress                  GET   in   403  404  404
admin.promote                   GET   in   403  404  404
admin.promote                   POST  in   403  403  404
admin.queue                     GET   in   403  200  200
admin.report                    GET   in   403  404  404
admin.report_templates_page     GET   in   403  200  200
admin.report_templates_page     POST  in   403  403  422
admin.restore_exam              POST  in   403  403  404
admin.resume                    POST  in   403  403  409
admin.retry_job                 POST  in   403  403  404
admin.revoke_token              GET   in   403  404  404
admin.revoke_token              POST  in   403  403  404
admin.roll_back                 GET   in   403  404  404
admin.roll_back                 POST  in   403  403  404
admin.set_password              POST  in   403  403  404
admin.settings_page             GET   in   403  200  200
admin.stop                      GET   in   403  404  404
admin.stop                      POST  in   403  403  404
admin.storage_page              GET   in   403  200  200
admin.tokens                    GET   in   403  200  200
admin.tokens                    POST  in   403  403  422
admin.training                  GET   in   403  404  404
admin.trainings                 GET   in   403  200  200
admin.trainings                 POST  in   403  403  200
admin.upload_model              GET   in   403  200  200
admin.upload_model              POST  in   403  403  422
api.create                      POST  401  401  401  401  403  415  403
api.job                         GET   401  401  401  401  404  404  404
api.jobs                        GET   401  401  401  401  403  403  200
api.listing                     GET   401  401  401  401  200  403  403
api.openapi                     GET   200  200  200  200
api.report                      GET   401  401  401  401  404  403  403
api.show                        GET   401  401  401  401  404  404  403
assessing.ask_for_ai_result     POST  in   404  403  404
assessing.assess                POST  in   404  403  404
assessing.dicom                 GET   in   404  404  404
assessing.keep                  POST  in   404  403  404
assessing.report                GET   in   404  404  404
assessing.report_fhir           GET   in   404  404  404
assessing.report_json           GET   in   404  404  404
assessing.report_pdf            GET   in   404  404  404
assessing.withdraw              POST  in   404  403  404
health.alive                    GET   200  200  200  200
health.ready                    GET   503  503  503  503
language.choose                 POST  400  400  400  400
models.card                     GET   in   404  404  404
monitoring.metrics              GET   403  403  403  403  403  403  200
own_account.change_password     POST  in   422  422  422
own_account.create_token        POST  in   422  422  422
own_account.end_other_sessions  POST  in   303  303  303
own_account.end_session         POST  in   303  303  303
own_account.page                GET   in   200  200  200
own_account.revoke_token        GET   in   404  404  404
own_account.revoke_token        POST  in   404  404  404
own_account.set_signature       POST  in   303  303  303
practice.check_outcomes         POST  in   422  403  422
practice.confirm_outcomes       POST  in   422  403  422
practice.enter_outcomes         GET   in   200  200  200
practice.exams_table            GET   in   200  200  200
practice.figures_table          GET   in   200  200  200
practice.outcomes_template      GET   in   200  200  200
practice.overview               GET   in   200  200  200
reading.ask_for_reading         POST  in   404  403  404
reading.claim                   POST  in   204  403  204
reading.exam                    GET   in   404  404  404
reading.export                  GET   in   400  400  400
reading.find                    POST  in   303  303  303
reading.image                   GET   in   404  404  404
reading.prefetch                GET   in   404  404  404
reading.set_orientation         POST  in   422  403  422
reading.set_view                POST  in   404  403  404
reading.try_sample              POST  in   404  403  404
reading.check_upload            POST  in   400  403  400
reading.upload                  GET   in   200  200  200
reading.upload                  POST  in   400  403  400
reading.worklist                GET   in   200  200  200
second_factor.begin             POST  in   422  422  422
second_factor.confirm           POST  in   303  303  303
second_factor.page              GET   in   200  200  200
second_factor.remove            POST  in   303  303  303
second_factor.renew             POST  in   303  303  303
sign_on.begin                   GET   404  404  404  404
sign_on.callback                GET   404  404  404  404
static                          GET   200  200  200  200
viewing.description             GET   in   404  404  404
viewing.tile                    GET   in   404  404  404
"""
NAMED = {
    "exam_id": "0" * 32,
    "image_id": "0" * 32,
    "kind": "display",
    "name": "nothing",
    "job_id": "0" * 32,
    "training_id": "none",
    "check_id": "none",
    "filename": "css/site.css",
}


def expected() -> dict[tuple[str, str], list[str]]:
    """Return the statuses of all roles by endpoint and method."""
    rows = [line.split() for line in TABLE.strip().splitlines()]
    return {(row[0], row[1]): (row[2:] if len(row) > 6 else [*row[2:], *[row[2]] * 3]) for row in rows}


def routes(app: Flask) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield endpoint and method of each route, and an address."""
    urls = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        address = urls.build(rule.endpoint, {name: NAMED.get(name, 999) for name in rule.arguments})
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield (rule.endpoint, method), address


@pytest.fixture
def clients(app: Flask) -> list[FlaskClient]:
    """Return a client for each role, in the order of the table."""
    made = [app.test_client() for _ in range(7)]
    for client, role in zip(made[1:4], PEOPLE, strict=True):
        make_user(app, role, role)
        sign_in(client, role)
    with app.app_context():
        chief = users.by_name(Role.ADMIN)
        for client, scope in zip(made[4:], tokens.SCOPES, strict=True):
            token = tokens.create(chief, scopes=(scope,))
            client.environ_base["HTTP_AUTHORIZATION"] = bearer(token)["Authorization"]
    for client in made:
        client.environ_base["REMOTE_ADDR"] = "192.0.2.1"  # this machine itself may read the figures
    return made


def test_every_route_has_a_row(app: Flask) -> None:
    assert {key for key, _ in routes(app)} == set(expected())


def test_every_page_is_opened_by_the_browser_tests(app: Flask) -> None:
    checked = runpy.run_path(str(ROOT / "tests" / "browser" / "pages.py"))
    urls, numbers = app.url_map.bind("localhost"), dict.fromkeys(("person", "token", "own_token"), "1")
    places = {"exam": "/exams/none", "id": "none", "binned": "none", "job": "1", **numbers}
    places |= dict.fromkeys(("training", "check", "dataset"), "none")
    opened = {
        urls.match(checked["address"](name, places).partition("?")[0])[0] for name in checked["ADDRESSES"]
    }
    shown = {endpoint for (endpoint, method), _ in routes(app) if method == "GET"}
    assert shown - checked["NO_PAGES"] - checked["OF_VISITORS"] == opened
    assert checked["NO_PAGES"] | checked["OF_VISITORS"] <= shown


@pytest.mark.slow
def test_every_route_answers_every_role_as_the_table_says(app: Flask, clients: list[FlaskClient]) -> None:
    different = []
    for key, address in sorted(routes(app), key=lambda route: route[0] == ("account.logout", "POST")):
        answers = [client.open(address, method=key[1], buffered=True) for client in clients]
        found = [
            "in" if (answer.location or "").startswith("/login") else str(answer.status_code)
            for answer in answers
        ]
        if found != expected()[key]:
            different.append(f"{' '.join(key)} {' '.join(found)}")
    assert different == []
