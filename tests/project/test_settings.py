"""Settings from the environment, and the page that lists them."""

import re
from pathlib import Path

import pytest

from birads_app import config, create_app
from birads_app.config import SettingsError

DOCS = Path(__file__).parent.parent.parent / "docs" / "settings.md"


def test_defaults_are_valid() -> None:
    settings = config.read({})
    assert settings.engine == "openvino"
    assert settings.instance == Path.cwd() / "instance"
    assert settings.secret_key is None


def test_values_are_typed() -> None:
    settings = config.read(
        {
            "BIRADS_THREADS": "3",
            "BIRADS_SECURE_COOKIES": "yes",
            "BIRADS_TRUSTED_HOSTS": "a.example, b.example",
            "BIRADS_MODELS": "~/models",
        }
    )
    assert settings.threads == 3
    assert settings.secure_cookies is True
    assert settings.trusted_hosts == ("a.example", "b.example")
    assert settings.models == Path.home() / "models"


@pytest.mark.parametrize(
    ("variable", "value", "needed"),
    [
        ("BIRADS_ENGINE", "torch", "one of openvino, tensorflow"),
        ("BIRADS_PRECISION", "int8", "one of f32, bf16"),
        ("BIRADS_THREADS", "-1", "a whole number from 1 to"),
        ("BIRADS_MAX_UPLOAD_MB", "lots", "a whole number from 1 to"),
        ("BIRADS_MAX_UPLOAD_MB", "²", "a whole number from 1 to"),
        ("BIRADS_SECURE_COOKIES", "maybe", "1 or 0"),
        ("BIRADS_INSTANCE", "", "a path"),
        ("BIRADS_LOG_LEVEL", "LOUD", "one of DEBUG"),
        ("BIRADS_DICOM_ALLOWED_AETS", "PACS", "TITLE@ADDRESS"),
        ("BIRADS_DICOM_ALLOWED_AETS", "PACS@pacs.example", "TITLE@ADDRESS"),
        ("BIRADS_DICOM_AE_TITLE", "LONGER-THAN-SIXTEEN", "an AE title"),
        ("BIRADS_OIDC_ISSUER", "http://sso.example", "an address that begins with https://"),
        ("BIRADS_OIDC_ROLES", "king=birads", "ROLE=GROUP"),
        ("BIRADS_OIDC_ROLES", "admin", "ROLE=GROUP"),
    ],
)
def test_a_wrong_value_is_reported(variable: str, value: str, needed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        config.read({variable: value})
    assert caught.value.message.startswith(f"{variable} has to be {needed}")
    assert caught.value.message.endswith(f"Got {value!r}.")


OIDC = {
    "BIRADS_OIDC_ISSUER": "https://sso.example",
    "BIRADS_OIDC_CLIENT_ID": "birads",
    "BIRADS_OIDC_ROLES": "admin=a, radiologist=cn=readers",
}


@pytest.mark.parametrize("missing", ["BIRADS_OIDC_CLIENT_ID", "BIRADS_OIDC_ROLES"])
def test_half_an_identity_provider_is_refused(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} has to be set"):
        config.read({**OIDC, missing: ""})
    with pytest.raises(SettingsError, match="needs BIRADS_OIDC_ISSUER"):
        config.read({"BIRADS_PASSWORD_SIGN_IN": "administrators"})


def test_the_client_secret_may_come_from_a_file(tmp_path: Path) -> None:
    settings = config.read({**OIDC, "BIRADS_OIDC_CLIENT_SECRET": "by name"})
    assert config.oidc_client_secret(settings) == "by name" and "by name" not in repr(settings)
    assert settings.oidc_roles == (("admin", "a"), ("radiologist", "cn=readers"))
    file = tmp_path / "secret"
    settings = config.read({**OIDC, "BIRADS_OIDC_CLIENT_SECRET_FILE": str(file)})
    with pytest.raises(SettingsError, match="a file that this account can read"):
        config.oidc_client_secret(settings)
    file.write_text("in a file\n")
    assert config.oidc_client_secret(settings) == "in a file"


def test_addresses_of_servers_may_come_from_files(tmp_path: Path) -> None:
    file = tmp_path / "address"
    for name, reader, address in (
        ("DATABASE_URL", config.database_url, "postgresql://birads:Hidden-1@db/birads"),
        ("REDIS_URL", config.redis_url, "redis://:Hidden-1@redis:6379/0"),
    ):
        settings = config.read({f"BIRADS_{name}_FILE": str(file)})
        for content in (None, "", "https://:Hidden-1@host"):
            file.unlink(missing_ok=True) if content is None else file.write_text(content)
            with pytest.raises(SettingsError, match=f"BIRADS_{name}_FILE is .* has to be a file") as caught:
                reader(settings)
            assert "Hidden-1" not in caught.value.message
        file.write_text(f"{address}\n")
        assert reader(settings) == reader(config.read({f"BIRADS_{name}": address})) == address
        assert reader(config.read({})) is None


def test_an_error_never_shows_a_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        config.read({"BIRADS_SECRET_KEY": "too-short"})
    assert "too-short" not in caught.value.message
    assert "s" * 40 not in repr(config.read({"BIRADS_SECRET_KEY": "s" * 40}))


def test_peers_are_ae_titles_with_addresses() -> None:
    peers = config.read({"BIRADS_DICOM_ALLOWED_AETS": "A@10.1.2.3, B@C@10.1.0.0/16,"}).dicom_allowed_aets
    assert [(peer.title, str(peer.network)) for peer in peers] == [
        ("A", "10.1.2.3/32"),
        ("B@C", "10.1.0.0/16"),
    ]


def test_a_misspelt_variable_is_refused() -> None:
    with pytest.raises(SettingsError, match="BIRADS_MODEL is not a setting"):
        config.read({"BIRADS_MODEL": "x"})


def test_the_secret_key_is_created_once_and_shared(config: dict[str, object]) -> None:
    first, second = create_app(config), create_app(config)
    assert first.secret_key == second.secret_key
    assert len(str(first.secret_key)) == 64


def test_a_given_key_is_used(config: dict[str, object]) -> None:
    assert create_app({**config, "BIRADS_SECRET_KEY": "k" * 32}).secret_key == "k" * 32


def test_an_unusable_instance_folder_is_reported(config: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="BIRADS_INSTANCE"):
        create_app({**config, "BIRADS_INSTANCE": str(tmp_path / "file" / "below")})


def test_a_proxy_is_trusted_only_by_setting(config: dict[str, object]) -> None:
    forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
    for hops, expected in (("0", "127.0.0.1 http"), ("1", "192.0.2.1 https")):
        app = create_app({**config, "BIRADS_PROXY_HOPS": hops})

        @app.get("/who")
        def who() -> str:
            from flask import request

            return f"{request.remote_addr} {request.scheme}"

        assert app.test_client().get("/who", headers=forged).text == expected


def test_only_trusted_hosts_are_served(config: dict[str, object]) -> None:
    client = create_app({**config, "BIRADS_TRUSTED_HOSTS": "reader.example"}).test_client()
    assert client.get("/healthz", base_url="http://reader.example").status_code == 200
    assert client.get("/healthz", base_url="http://evil.example").status_code == 400


def test_the_documentation_lists_exactly_the_settings() -> None:
    table = dict(re.findall(r"^\| `(BIRADS_\w+)` \| (.*?) \|", DOCS.read_text("utf-8"), re.MULTILINE))
    code = {variable.name: variable.default for variable in config.variables()}
    documented = {name: re.sub("`|^none$", "", default) for name, default in table.items()}
    assert documented == code


def test_the_documentation_lists_the_variables_of_gunicorn() -> None:
    configuration = (DOCS.parent.parent / "gunicorn.conf.py").read_text("utf-8")
    table = set(re.findall(r"^\| `([A-Z]+[A-Z_]*)` \|", DOCS.read_text("utf-8"), re.MULTILINE))
    read = set(re.findall(r"""environ\.get\(["'](\w+)""", configuration))
    shared = {name for name in read if name.startswith("BIRADS_")}
    assert {name for name in table if not name.startswith("BIRADS_")} == read - shared
    assert shared <= {variable.name for variable in config.variables()}


def test_the_environment_is_read_in_one_module() -> None:
    package = DOCS.parent.parent / "birads_app"
    readers = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text("utf-8"))
    ]
    assert readers == ["__init__.py"]


@pytest.mark.parametrize(("old", "new"), config.RENAMED.items())
def test_an_old_name_is_read_with_a_warning(old: str, new: str) -> None:
    value = {"BIRADS_DICOM_QUIET_S": "7", "BIRADS_DICOM_PEERS": "A@10.1.2.3", "BIRADS_PACS_UPLOADS": "1"}
    given = {old: value.get(old, "/data")}
    assert config.read(given) == config.read({new: given[old]}) != config.read({})
    (line,) = config.deprecations(given)
    assert old in line and new in line and not config.deprecations({new: given[old]})
    with pytest.raises(SettingsError, match=f"{old} and {new} are both set"):
        config.read({**given, new: given[old]})


def test_an_old_value_is_read_with_a_warning() -> None:
    assert config.read({"BIRADS_TOMOSYNTHESIS": "maximum"}).tomosynthesis == "mip"
    (line,) = config.deprecations({"BIRADS_TOMOSYNTHESIS": "maximum"})
    assert "BIRADS_TOMOSYNTHESIS=mip" in line


def test_the_log_names_the_current_setting(
    config: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    create_app({**config, "BIRADS_PACS_UPLOADS": "1"})
    assert "BIRADS_PACS_UPLOADS is now called BIRADS_PACS_SEND_UPLOADS" in caplog.text
