"""Settings: everything that a deployment may choose, read from the environment in this one place.

The field ``max_files`` of :class:`Settings` is the variable ``BIRADS_MAX_FILES``. A default is written as in the
environment. ``docs/settings.md`` lists the same variables and defaults; a test compares them.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, get_args

import click
from pydantic import Field, PlainValidator, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from birads_app.files import atomic
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis
from birads_app.model.engine import ENGINES, PRECISIONS
from birads_app.provider_settings import read_issuer, read_roles
from birads_app.setting_values import (
    Peer,
    read_choice,
    read_database_url,
    read_file,
    read_files_url,
    read_folders,
    read_hosts,
    read_integer,
    read_networks,
    read_optional,
    read_path,
    read_peers,
    read_processes,
    read_redis_url,
    read_secret,
    read_switch,
    read_text,
    read_title,
    read_uploads,
)

# Variables that, if not set, get a generated value, stored in a file of the instance folder.
KEPT_KEYS = {"BIRADS_SECRET_KEY": "secret-key", "BIRADS_SITE_KEY": "site-key"}
# Old names and values, still read.
RENAMED = {
    "BIRADS_DICOM_QUIET_S": "BIRADS_DICOM_STABLE_S",
    "BIRADS_DICOM_PEERS": "BIRADS_DICOM_ALLOWED_AETS",
    "BIRADS_TRAINING_ROOTS": "BIRADS_TRAINING_DATA_DIRS",
    "BIRADS_PACS_UPLOADS": "BIRADS_PACS_SEND_UPLOADS",
}
RENAMED_VALUES = {"BIRADS_TOMOSYNTHESIS": {"maximum": "mip"}}
_PREFIX = "BIRADS_"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("plain", "json")


class SettingsError(click.ClickException):
    """Invalid value of a variable; the command line shows the message alone."""


def parsed(reader: Callable[[str], Any]) -> PlainValidator:
    """Return the annotation of a field whose text is read by the given function."""
    return PlainValidator(lambda text: reader(text.strip()))


def setting(default: str, secret: bool = False) -> Any:
    """Declare a field of :class:`Settings`; a secret's value never appears in a message."""
    return Field(default, repr=not secret)


class Settings(BaseSettings):
    """Settings of a deployment.

    instance : folder of the database, the images and the keys
    models : folder of model bundles
    redis_url, redis_url_file : address of Redis, or the file with it, for several machines; without one there is none
    compute_tier : "local" reads uploads in the web server, "queue" in processes of ``flask compute``
    files_url : where images, received objects and uploads are; empty for the instance folder
    files_cache_mb : size in MiB of the copies of exams in a bucket that are kept in the instance folder
    threads : processor threads for one prediction; None means all cores
    compute_processes : processes that read files; 0 means that the server's own threads do
    uploads_at_once, uploads_waiting : number of uploads that are worked on and that wait; further ones are refused
    queue_mb : size in MiB of all uploads that wait to be read after their answer; 0 reads every upload before it
    tomosynthesis : treatment of a volume: "mip" reads its maximum intensity projection, "refuse" rejects it
    show_opinion, show_heat_map : show the AI result, and the heat map, before the user asks for it
    ai_marks : show the model's marks at once ("on"), once "asked" for, or never ("off")
    max_upload_mb : size limit of one request's body in MiB
    min_free_mb : free space of the disk in MiB below which uploads are refused
    database_url, database_url_file : address of a PostgreSQL database, or a file with it; None means SQLite in
        the instance folder
    secret_key : signs sessions; None means a key generated once and stored in the instance folder
    deidentify : remove identities from files before they are stored
    show_identity : accounts that see names, patient IDs, accession numbers and true dates
    session_hours, session_idle_minutes : end of a session after sign-in, and after its last use
    bin_days : days for which deleted exams can be restored
    token_max_days : longest lifetime of an API token
    retention_days, retention_exams : age in days at which exams go to the bin, None keeps them; exams concerned
    site_key : creates pseudonyms and encrypts identities; None as above
    totp_required : accounts whose sign-in must ask for a code of an authenticator app
    password_sign_in : accounts that may sign in with a password
    oidc_* : identity provider at which people sign on; without issuer there is none
    proxy_hops : number of proxies trusted to report the client's address, scheme, host and sub-path
    trusted_hosts : accepted host names; empty means any
    dicom_* : receiving of objects; with no allowed AEs nobody may send
    dicom_stable_s : seconds without a new object after which a study is complete
    pacs_* : destination of results and source of studies; without host and address there is none
    pacs_retry_s : seconds after the first failed attempt
    pacs_priors, pacs_prior_years : number of priors to ask for when an exam comes, and how far back; 0 asks for none
    metrics_networks : networks from which /metrics may be read without a token, besides this machine
    training_data_dirs : folders inside of which the browser may start a training
    """

    model_config = SettingsConfigDict(frozen=True, env_prefix=_PREFIX, extra="forbid", validate_default=True)

    instance: Annotated[Path, parsed(read_path)] = setting("instance")
    models: Annotated[Path, parsed(read_path)] = setting("models")
    redis_url: Annotated[str, parsed(read_redis_url)] = setting("", secret=True)
    redis_url_file: Annotated[Path | None, parsed(read_optional(read_path))] = setting("")
    compute_tier: Annotated[str, parsed(read_choice("local", "queue"))] = setting("local")
    files_url: Annotated[str, parsed(read_files_url)] = setting("")
    files_cache_mb: Annotated[int, parsed(read_integer(64, 10**9))] = setting("10240")
    engine: Annotated[str, parsed(read_choice(*ENGINES))] = setting("openvino")
    precision: Annotated[str, parsed(read_choice(*PRECISIONS))] = setting("bf16")
    threads: Annotated[int | None, parsed(read_optional(read_integer(1, 1024)))] = setting("")
    compute_processes: Annotated[int, parsed(read_processes)] = setting("")
    uploads_at_once: Annotated[int, parsed(read_uploads)] = setting("")
    uploads_waiting: Annotated[int, parsed(read_integer(0, 1000))] = setting("16")
    queue_mb: Annotated[int, parsed(read_integer(0, 10**7))] = setting("4096")
    tomosynthesis: Annotated[Tomosynthesis, parsed(read_choice(*get_args(Tomosynthesis)))] = setting("mip")
    show_opinion: Annotated[bool, parsed(read_switch)] = setting("1")
    show_heat_map: Annotated[bool, parsed(read_switch)] = setting("0")
    ai_marks: Annotated[str, parsed(read_choice("asked", "on", "off"))] = setting("asked")
    max_upload_mb: Annotated[int, parsed(read_integer(1, 65536))] = setting("256")
    max_files: Annotated[int, parsed(read_integer(1, 900))] = setting("64")
    min_free_mb: Annotated[int, parsed(read_integer(0, 10**7))] = setting("256")
    database_url: Annotated[str | None, parsed(read_optional(read_database_url))] = setting("", secret=True)
    database_url_file: Annotated[Path | None, parsed(read_optional(read_path))] = setting("")
    secret_key: Annotated[str | None, parsed(read_optional(read_secret))] = setting("", secret=True)
    deidentify: Annotated[bool, parsed(read_switch)] = setting("1")
    show_identity: Annotated[str, parsed(read_choice("nobody", "administrators", "readers"))] = setting(
        "nobody"
    )
    site_key: Annotated[str | None, parsed(read_optional(read_secret))] = setting("", secret=True)
    secure_cookies: Annotated[bool, parsed(read_switch)] = setting("0")
    totp_required: Annotated[str, parsed(read_choice("nobody", "administrators", "everybody"))] = setting(
        "nobody"
    )
    bin_days: Annotated[int, parsed(read_integer(1, 3650))] = setting("30")
    retention_days: Annotated[int | None, parsed(read_optional(read_integer(1, 36500)))] = setting("")
    retention_exams: Annotated[str, parsed(read_choice("signed", "unsigned", "all"))] = setting("signed")
    session_hours: Annotated[int, parsed(read_integer(1, 720))] = setting("12")
    session_idle_minutes: Annotated[int, parsed(read_integer(1, 1440))] = setting("30")
    password_sign_in: Annotated[str, parsed(read_choice("everybody", "administrators"))] = setting(
        "everybody"
    )
    oidc_issuer: Annotated[str | None, parsed(read_optional(read_issuer))] = setting("")
    oidc_client_id: Annotated[str, parsed(read_text)] = setting("")
    oidc_client_secret: Annotated[str, parsed(read_text)] = setting("", secret=True)
    oidc_client_secret_file: Annotated[Path | None, parsed(read_optional(read_path))] = setting("")
    oidc_name: Annotated[str, parsed(read_text)] = setting("")
    oidc_scopes: Annotated[str, parsed(read_text)] = setting("openid profile")
    oidc_role_claim: Annotated[str, parsed(read_text)] = setting("groups")
    oidc_roles: Annotated[tuple[tuple[str, str], ...], parsed(read_roles)] = setting("")
    oidc_create_accounts: Annotated[bool, parsed(read_switch)] = setting("1")
    token_max_days: Annotated[int, parsed(read_integer(1, 3650))] = setting("365")
    proxy_hops: Annotated[int, parsed(read_integer(0, 10))] = setting("0")
    trusted_hosts: Annotated[tuple[str, ...], parsed(read_hosts)] = setting("")
    dicom_port: Annotated[int, parsed(read_integer(1, 65535))] = setting("11112")
    dicom_ae_title: Annotated[str, parsed(read_title)] = setting("BIRADS")
    dicom_bind: Annotated[str, parsed(read_text)] = setting("127.0.0.1")
    dicom_allowed_aets: Annotated[tuple[Peer, ...], parsed(read_peers)] = setting("")
    dicom_max_associations: Annotated[int, parsed(read_integer(1, 1000))] = setting("20")
    dicom_max_object_mb: Annotated[int, parsed(read_integer(1, 2000))] = setting("256")
    dicom_stable_s: Annotated[int, parsed(read_integer(1, 3600))] = setting("30")
    dicom_tls_certificate: Annotated[Path | None, parsed(read_optional(read_path))] = setting("")
    dicom_tls_key: Annotated[Path | None, parsed(read_optional(read_path))] = setting("")
    dicom_tls_authorities: Annotated[Path | None, parsed(read_optional(read_path))] = setting("")
    pacs_host: Annotated[str, parsed(read_text)] = setting("")
    pacs_port: Annotated[int, parsed(read_integer(1, 65535))] = setting("104")
    pacs_ae_title: Annotated[str, parsed(read_title)] = setting("PACS")
    pacs_tls: Annotated[bool, parsed(read_switch)] = setting("0")
    pacs_tls_authorities: Annotated[Path | None, parsed(read_optional(read_path))] = setting("")
    pacs_dicomweb_url: Annotated[str, parsed(read_text)] = setting("")
    pacs_dicomweb_user: Annotated[str, parsed(read_text)] = setting("")
    pacs_dicomweb_password: Annotated[str, parsed(read_text)] = setting("", secret=True)
    pacs_dicomweb_token: Annotated[str, parsed(read_text)] = setting("", secret=True)
    pacs_send_uploads: Annotated[bool, parsed(read_switch)] = setting("0")
    pacs_retry_s: Annotated[int, parsed(read_integer(1, 3600))] = setting("30")
    pacs_priors: Annotated[int, parsed(read_integer(0, 20))] = setting("0")
    pacs_prior_years: Annotated[int, parsed(read_integer(1, 50))] = setting("10")
    training_data_dirs: Annotated[tuple[Path, ...], parsed(read_folders)] = setting("")
    metrics_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], parsed(read_networks)] = setting("")
    log_level: Annotated[str, parsed(read_choice(*LOG_LEVELS))] = setting("INFO")
    log_format: Annotated[str, parsed(read_choice(*LOG_FORMATS))] = setting("plain")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing but what :func:`read` is given."""
        return (init_settings,)


@dataclass(frozen=True)
class Variable:
    """A variable of the environment: its name, its default as written there, and whether it is a secret."""

    name: str
    default: str
    secret: bool


def variables() -> list[Variable]:
    """List the variables of all settings in the order of :class:`Settings`."""
    return [
        Variable(_PREFIX + name.upper(), item.default, secret=not item.repr)
        for name, item in Settings.model_fields.items()
    ]


def read(environ: Mapping[str, str]) -> Settings:
    """Read all settings.

    Raises
    ------
    SettingsError
        A value cannot be used, a variable that begins with ``BIRADS_`` is unknown (a misspelt setting must not be
        ignored), or a setting is given by its old and its new name.
    """
    given = with_current_names(environ)
    known = {variable.name: variable for variable in variables()}
    for name in sorted(given):
        if name.startswith(_PREFIX) and name not in known:
            raise SettingsError(f"{name} is not a setting. Available settings: {', '.join(sorted(known))}.")
    values: dict[str, Any] = {
        name.removeprefix(_PREFIX).lower(): given[name] for name in known if name in given
    }
    try:
        settings = Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        variable = known[_PREFIX + str(first["loc"][0]).upper()]
        got = "another" if variable.secret else repr(str(first["input"]).strip())
        raise SettingsError(f"{variable.name} has to be {first['ctx']['error']}. Got {got}.") from None
    _check_sign_on(settings)
    if settings.compute_tier == "queue" and not (settings.redis_url or settings.redis_url_file):
        raise SettingsError("BIRADS_COMPUTE_TIER=queue needs BIRADS_REDIS_URL.")
    return settings


def _check_sign_on(settings: Settings) -> None:
    """Raise SettingsError if settings of the identity provider are missing."""
    needed = {"BIRADS_OIDC_CLIENT_ID": settings.oidc_client_id, "BIRADS_OIDC_ROLES": settings.oidc_roles}
    for name, value in needed.items():
        if settings.oidc_issuer and not value:
            raise SettingsError(f"{name} has to be set, because BIRADS_OIDC_ISSUER is.")
    if settings.password_sign_in != "everybody" and not settings.oidc_issuer:
        raise SettingsError("BIRADS_PASSWORD_SIGN_IN=administrators needs BIRADS_OIDC_ISSUER.")


def with_current_names(environ: Mapping[str, str]) -> dict[str, str]:
    """Replace old names and values of settings by the current ones; raise SettingsError if both names are set."""
    current = dict(environ)
    for old, new in RENAMED.items():
        if old in current and new in current:
            raise SettingsError(f"{old} and {new} are both set. {old} is the old name of {new}: remove it.")
        if old in current:
            current[new] = current.pop(old)
    for variable, values in RENAMED_VALUES.items():
        if variable in current:
            text = current[variable].strip()
            current[variable] = values.get(text, text)
    return current


def deprecations(environ: Mapping[str, str]) -> list[str]:
    """Return a line for each old name or value in the environment, naming the current one."""
    names = [f"{old} is now called {new}." for old, new in RENAMED.items() if old in environ]
    values = [
        f"{variable}={old} is now called {variable}={new}."
        for variable, changed in RENAMED_VALUES.items()
        for old, new in changed.items()
        if environ.get(variable, "").strip() == old
    ]
    return [f"{line} The old name is still read, but will be removed." for line in [*names, *values]]


def database_url(settings: Settings) -> str | None:
    """Return the address of the PostgreSQL database, None for SQLite; raise SettingsError."""
    return _in_file("DATABASE_URL", settings.database_url_file, read_database_url) or settings.database_url


def redis_url(settings: Settings) -> str | None:
    """Return the address of Redis, None without it; raise SettingsError."""
    return _in_file("REDIS_URL", settings.redis_url_file, read_redis_url) or settings.redis_url or None


def oidc_client_secret(settings: Settings) -> str | None:
    """Return the secret of the identity provider's client, None for a public client; raise SettingsError."""
    secret = _in_file("OIDC_CLIENT_SECRET", settings.oidc_client_secret_file, read_text)
    return secret or settings.oidc_client_secret or None


def _in_file(name: str, path: Path | None, reader: Callable[[str], str]) -> str | None:
    """Return the value of a setting that is kept in a file; None without one."""
    try:
        return None if path is None else str(read_file(path, reader))
    except ValueError as error:
        raise SettingsError(f"{_PREFIX}{name}_FILE is {path}, which has to be {error}.") from None


def secret_key(settings: Settings) -> str:
    """Return the key that signs sessions, given or generated in the instance folder; raise SettingsError."""
    return _key(settings, settings.secret_key, KEPT_KEYS["BIRADS_SECRET_KEY"])


def site_key(settings: Settings) -> str:
    """Return the key of pseudonyms and encrypted identities; errors as :func:`secret_key`."""
    return _key(settings, settings.site_key, KEPT_KEYS["BIRADS_SITE_KEY"])


def _key(settings: Settings, given: str | None, name: str) -> str:
    """Return the given key, or the one of that name in the instance folder.

    Raises
    ------
    SettingsError
        The instance folder cannot be created or written.
    """
    folder = settings.instance
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return given or _kept_key(folder / name)
    except OSError as error:
        raise SettingsError(
            f"BIRADS_INSTANCE is {folder}, which cannot be used ({error.strerror}). "
            "Choose a folder that this account can write to."
        ) from error


def _kept_key(path: Path) -> str:
    """Read the key, or generate it; of several processes that generate one, the first wins."""
    if not path.exists():
        atomic.create(path, secrets.token_hex(32))
    return path.read_text("ascii").strip()
