"""Settings: everything that a deployment may choose, read from the environment in this one place.

Each field of :class:`Settings` names its variable, its default as one would write it in the environment, and
the function that reads it. ``docs/settings.md`` lists the same; a test holds the two equal.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, get_args

import click

from birads_app.files import atomic
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis
from birads_app.model.engine import ENGINES, PRECISIONS

# Variables whose value is made once and kept in a file of the instance folder where they are not set.
KEPT_KEYS = {"BIRADS_SECRET_KEY": "secret-key", "BIRADS_SITE_KEY": "site-key"}
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(click.ClickException):
    """A variable has a value that cannot be used; the command line shows the message alone."""


def read_path(text: str) -> Path:
    """An absolute path; a relative one counts from the working directory."""
    if not text:
        raise ValueError("a path")
    return Path(text).expanduser().absolute()


def read_text(text: str) -> str:
    """Any text."""
    return text


def read_choice(*choices: str) -> Callable[[str], str]:
    """A reader that accepts the given words alone."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return read


def read_integer(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers from ``low`` to ``high``."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return read


def read_optional(reader: Callable[[str], Any]) -> Callable[[str], Any]:
    """The given reader, with an empty text meaning None."""
    return lambda text: reader(text) if text else None


def read_switch(text: str) -> bool:
    """``1`` or ``0``, in the usual spellings."""
    word = text.lower()
    if word not in ("1", "0", "true", "false", "yes", "no", "on", "off"):
        raise ValueError("1 or 0")
    return word in ("1", "true", "yes", "on")


def read_secret(text: str) -> str:
    """A key of at least 32 characters."""
    if len(text) < 32:
        raise ValueError("at least 32 random characters")
    return text


def read_hosts(text: str) -> tuple[str, ...]:
    """Host names parted by commas; empty means any."""
    return tuple(host.strip() for host in text.split(",") if host.strip())


@dataclass(frozen=True)
class Peer:
    """Who may send objects: an application entity title, and the address or network that it sends from."""

    title: str
    network: IPv4Network | IPv6Network


def read_title(text: str) -> str:
    """An application entity title (PS3.5, AE)."""
    if not (1 <= len(text) <= 16 and text.isascii() and text.isprintable() and "\\" not in text):
        raise ValueError("an AE title of 1 to 16 characters")
    return text


def read_peers(text: str) -> tuple[Peer, ...]:
    """Peers as TITLE@ADDRESS, parted by commas; an address may be a network such as 10.1.0.0/16."""
    try:
        parted = [entry.strip().rpartition("@") for entry in text.split(",") if entry.strip()]
        return tuple(Peer(read_title(title.strip()), ip_network(address)) for title, _, address in parted)
    except ValueError:
        raise ValueError("TITLE@ADDRESS, parted by commas, such as MODALITY@10.1.2.3") from None


def read_folders(text: str) -> tuple[Path, ...]:
    """Folders parted by colons."""
    return tuple(read_path(folder.strip()) for folder in text.split(":") if folder.strip())


def setting(variable: str, default: str, reader: Callable[[str], Any], secret: bool = False) -> Any:
    """Declare a field of :class:`Settings`; a secret's value never appears in a message."""
    return field(
        metadata={"variable": variable, "default": default, "reader": reader, "secret": secret},
        repr=not secret,
    )


@dataclass(frozen=True)
class Settings:
    """What a deployment chose.

    instance : folder of the database, the images and the secret key
    models : folder of model bundles
    threads : processor threads for one prediction; None means all cores
    tomosynthesis : what becomes of a volume of slices: its "mip" is read, or "refuse"
    show_opinion : show what the model says before a reader asks for it
    show_heat_map : lay the heat map over the images before a reader asks for it
    max_upload_mb : size of one request's body in MiB
    secret_key : signs sessions; None means a key made once and kept in the instance folder
    deidentify : take identities out of files before they are stored
    site_key : makes pseudonyms and seals identities; None means a key made once, as above
    proxy_hops : how many proxies in front are trusted to tell the client's address, scheme and host
    trusted_hosts : host names that requests may ask for; empty means any
    dicom_* : how objects are received; with no peers nobody may send
    pacs_* : where results go and studies are fetched; with no host and no address nowhere
    pacs_retry_s : seconds after the first attempt that failed
    training_roots : folders inside of which the browser may start a training
    """

    instance: Path = setting("BIRADS_INSTANCE", "instance", read_path)
    models: Path = setting("BIRADS_MODELS", "models", read_path)
    engine: str = setting("BIRADS_ENGINE", "openvino", read_choice(*ENGINES))
    precision: str = setting("BIRADS_PRECISION", "bf16", read_choice(*PRECISIONS))
    threads: int | None = setting("BIRADS_THREADS", "", read_optional(read_integer(1, 1024)))
    tomosynthesis: Tomosynthesis = setting(
        "BIRADS_TOMOSYNTHESIS", "mip", read_choice(*get_args(Tomosynthesis))
    )
    show_opinion: bool = setting("BIRADS_SHOW_OPINION", "1", read_switch)
    show_heat_map: bool = setting("BIRADS_SHOW_HEAT_MAP", "0", read_switch)
    max_upload_mb: int = setting("BIRADS_MAX_UPLOAD_MB", "256", read_integer(1, 65536))
    max_files: int = setting("BIRADS_MAX_FILES", "64", read_integer(1, 900))
    secret_key: str | None = setting("BIRADS_SECRET_KEY", "", read_optional(read_secret), secret=True)
    deidentify: bool = setting("BIRADS_DEIDENTIFY", "1", read_switch)
    site_key: str | None = setting("BIRADS_SITE_KEY", "", read_optional(read_secret), secret=True)
    secure_cookies: bool = setting("BIRADS_SECURE_COOKIES", "0", read_switch)
    session_hours: int = setting("BIRADS_SESSION_HOURS", "12", read_integer(1, 720))
    proxy_hops: int = setting("BIRADS_PROXY_HOPS", "0", read_integer(0, 10))
    trusted_hosts: tuple[str, ...] = setting("BIRADS_TRUSTED_HOSTS", "", read_hosts)
    dicom_port: int = setting("BIRADS_DICOM_PORT", "11112", read_integer(1, 65535))
    dicom_ae_title: str = setting("BIRADS_DICOM_AE_TITLE", "BIRADS", read_title)
    dicom_bind: str = setting("BIRADS_DICOM_BIND", "127.0.0.1", read_text)
    dicom_peers: tuple[Peer, ...] = setting("BIRADS_DICOM_PEERS", "", read_peers)
    dicom_max_associations: int = setting("BIRADS_DICOM_MAX_ASSOCIATIONS", "20", read_integer(1, 1000))
    dicom_max_object_mb: int = setting("BIRADS_DICOM_MAX_OBJECT_MB", "256", read_integer(1, 2000))
    dicom_quiet_s: int = setting("BIRADS_DICOM_QUIET_S", "30", read_integer(1, 3600))
    dicom_tls_certificate: Path | None = setting("BIRADS_DICOM_TLS_CERTIFICATE", "", read_optional(read_path))
    dicom_tls_key: Path | None = setting("BIRADS_DICOM_TLS_KEY", "", read_optional(read_path))
    dicom_tls_authorities: Path | None = setting("BIRADS_DICOM_TLS_AUTHORITIES", "", read_optional(read_path))
    pacs_host: str = setting("BIRADS_PACS_HOST", "", read_text)
    pacs_port: int = setting("BIRADS_PACS_PORT", "104", read_integer(1, 65535))
    pacs_ae_title: str = setting("BIRADS_PACS_AE_TITLE", "PACS", read_title)
    pacs_tls: bool = setting("BIRADS_PACS_TLS", "0", read_switch)
    pacs_tls_authorities: Path | None = setting("BIRADS_PACS_TLS_AUTHORITIES", "", read_optional(read_path))
    pacs_dicomweb_url: str = setting("BIRADS_PACS_DICOMWEB_URL", "", read_text)
    pacs_dicomweb_user: str = setting("BIRADS_PACS_DICOMWEB_USER", "", read_text)
    pacs_dicomweb_password: str = setting("BIRADS_PACS_DICOMWEB_PASSWORD", "", read_text, secret=True)
    pacs_dicomweb_token: str = setting("BIRADS_PACS_DICOMWEB_TOKEN", "", read_text, secret=True)
    pacs_uploads: bool = setting("BIRADS_PACS_UPLOADS", "0", read_switch)
    pacs_retry_s: int = setting("BIRADS_PACS_RETRY_S", "30", read_integer(1, 3600))
    training_roots: tuple[Path, ...] = setting("BIRADS_TRAINING_ROOTS", "", read_folders)
    log_level: str = setting("BIRADS_LOG_LEVEL", "INFO", read_choice(*LOG_LEVELS))


def read(environ: Mapping[str, str]) -> Settings:
    """Read all settings.

    Raises
    ------
    SettingsError
        A value cannot be used, or a variable begins with ``BIRADS_`` and is none of ours: a misspelt setting
        must not be passed over in silence.
    """
    known = {item.metadata["variable"] for item in fields(Settings)}
    for variable in sorted(environ):
        if variable.startswith("BIRADS_") and variable not in known:
            raise SettingsError(f"{variable} is not a setting. There are: {', '.join(sorted(known))}.")
    return Settings(**{item.name: _read_one(environ, **item.metadata) for item in fields(Settings)})


def _read_one(
    environ: Mapping[str, str], variable: str, default: str, reader: Callable[[str], Any], secret: bool
) -> Any:
    """Read one variable, or its default where it is not set."""
    text = environ.get(variable, default).strip()
    try:
        return reader(text)
    except ValueError as error:
        got = "another" if secret else repr(text)
        raise SettingsError(f"{variable} has to be {error}. Got {got}.") from None


def secret_key(settings: Settings) -> str:
    """The key that signs sessions: the given one, or one made once in the instance folder; raises SettingsError."""
    return _key(settings, settings.secret_key, KEPT_KEYS["BIRADS_SECRET_KEY"])


def site_key(settings: Settings) -> str:
    """The key of pseudonyms and sealed identities; found like :func:`secret_key`."""
    return _key(settings, settings.site_key, KEPT_KEYS["BIRADS_SITE_KEY"])


def _key(settings: Settings, given: str | None, name: str) -> str:
    """The given key, or the one of that name in the instance folder.

    Raises
    ------
    SettingsError
        The instance folder cannot be made or written.
    """
    folder = settings.instance
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return given or _kept_key(folder / name)
    except OSError as error:
        raise SettingsError(
            f"BIRADS_INSTANCE is {folder}, which cannot be used ({error.strerror}). "
            "Name a folder that this account may write."
        ) from error


def _kept_key(path: Path) -> str:
    """Read the key, or make it; of several processes that make one, the first wins."""
    if not path.exists():
        atomic.create(path, secrets.token_hex(32))
    return path.read_text("ascii").strip()
