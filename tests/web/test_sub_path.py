"""The application under a sub-path of a proxy."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app import create_app
from tests.support.factories import PASSWORD, make_user, sign_in

PREFIX = {"X-Forwarded-Prefix": "/radiology/birads"}


@pytest.fixture
def client(config: dict[str, object], app: Flask) -> FlaskClient:
    return create_app({**config, "BIRADS_PROXY_HOPS": "1"}).test_client()


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/healthz", {}), ("/healthz", PREFIX), ("/radiology/birads/healthz", PREFIX)],
)
def test_health_is_found_at_the_root_and_below_the_prefix(
    client: FlaskClient, path: str, headers: dict[str, str]
) -> None:
    assert client.get(path, headers=headers).json == {"status": "alive"}


def test_all_links_stay_below_the_prefix(app: Flask, client: FlaskClient) -> None:
    make_user(app)
    sign_in(client)
    for path in ("/", "/radiology/birads", "/radiology/birads/"):
        page = client.get(path, headers=PREFIX)
        links = re.findall(r'(?:href|src|action|data-\w+)="(/[^"]*)"', page.text)
        assert page.status_code == 200
        assert len(links) > 10
        assert [link for link in links if not link.startswith("/radiology/birads/")] == []


def test_visitors_are_sent_to_a_page_below_the_prefix(client: FlaskClient) -> None:
    assert client.get("/", headers=PREFIX).location.startswith("/radiology/birads/")


def test_sign_in_and_language_lead_back_below_the_prefix(app: Flask, client: FlaskClient) -> None:
    make_user(app)
    address = client.get("/upload?x=1", headers=PREFIX).location
    assert address == "/radiology/birads/login?next=/radiology/birads/upload?x%3D1"
    page = client.get("/login?next=/radiology/birads/upload", headers=PREFIX).text
    assert 'name="next" value="/radiology/birads/login?next=/radiology/birads/upload"' in page
    form = {"name": "reader", "password": PASSWORD}
    answer = client.post("/login?next=/radiology/birads/upload", data=form, headers=PREFIX)
    assert answer.location == "/radiology/birads/upload"


@pytest.mark.parametrize("prefix", ["//evil.example", "https://evil.example", "/a b", "birads", '/"x'])
def test_a_prefix_that_is_no_path_is_ignored(client: FlaskClient, prefix: str) -> None:
    answer = client.get("/", headers={"X-Forwarded-Prefix": prefix})
    assert re.fullmatch(r"/(setup|login)", answer.location)


def test_a_prefix_is_ignored_without_a_proxy(config: dict[str, object], app: Flask) -> None:
    client = create_app(config).test_client()
    assert re.fullmatch(r"/(setup|login)", client.get("/", headers=PREFIX).location)
