"""Readers of single settings, from the text of a variable to its value; ValueError says what is needed."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_PROCESSES_MAX = 4


def read_path(text: str) -> Path:
    """Read an absolute path; a relative one starts at the working directory."""
    if not text:
        raise ValueError("a path")
    return Path(text).expanduser().absolute()


def read_file(path: Path, reader: Callable[[str], Any]) -> Any:
    """Read a value that is kept in a file."""
    try:
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise ValueError(f"a file that this account can read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError("a text file") from None
    if not text:
        raise ValueError("a file that is not empty")
    try:
        return reader(text)
    except ValueError as error:
        raise ValueError(f"a file with {error}") from None


def read_files_url(text: str) -> str:
    """Read the address of a folder or bucket; an empty text means the instance folder."""
    if text and not re.fullmatch(
        r"file:///[^?#]*[^?#/]|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*/?", text
    ):
        raise ValueError("file:///FOLDER or s3://BUCKET/PREFIX, without credentials")
    return text


def read_text(text: str) -> str:
    """Accept any text."""
    return text


def read_choice(*choices: str) -> Callable[[str], str]:
    """Return a reader that accepts only the given words."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return read


def read_integer(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from ``low`` to ``high``."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return read


def read_optional(reader: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return the given reader, with an empty text meaning None."""
    return lambda text: reader(text) if text else None


def read_processes(text: str) -> int:
    """Read a number of processes; an empty text means one for each core, at most four."""
    return read_integer(0, 64)(text) if text else min(_PROCESSES_MAX, os.cpu_count() or 1)


def read_uploads(text: str) -> int:
    """Read a number of uploads; an empty text means one for each core, at most four, and one more."""
    return read_integer(1, 64)(text) if text else 1 + read_processes("")


def read_switch(text: str) -> bool:
    """Read ``1`` or ``0``, in the usual spellings."""
    word = text.lower()
    if word not in ("1", "0", "true", "false", "yes", "no", "on", "off"):
        raise ValueError("1 or 0")
    return word in ("1", "true", "yes", "on")


def read_secret(text: str) -> str:
    """Read a key of at least 32 characters."""
    if len(text) < 32:
        raise ValueError("at least 32 random characters")
    return text


def read_redis_url(text: str) -> str:
    """Read the address of a Redis server; an empty text means none."""
    try:
        valid = text.startswith(("redis://", "rediss://", "unix://")) and urlsplit(text).port != 0
    except ValueError:  # no number as the port
        valid = False
    if text and not valid:
        raise ValueError("redis://HOST:PORT/NUMBER, rediss:// for TLS, or unix://")
    return text


def read_database_url(text: str) -> str:
    """Read the address of a PostgreSQL database."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme == "postgresql" and len(parts.path) > 1 and parts.port != 0
        valid = valid and parts.netloc.count("@") < 2  # one in a password is written %40
    except ValueError:  # no number as the port
        valid = False
    if not valid:
        raise ValueError("an address such as postgresql://user:password@host:5432/database")
    return text


def read_hosts(text: str) -> tuple[str, ...]:
    """Read host names separated by commas; empty means any."""
    return tuple(host.strip() for host in text.split(",") if host.strip())


@dataclass(frozen=True)
class Peer:
    """DICOM application entity (AE) that may send objects: its title, and its address or network."""

    title: str
    network: IPv4Network | IPv6Network


def read_title(text: str) -> str:
    """Read an application entity title (PS3.5, AE)."""
    if not (1 <= len(text) <= 16 and text.isascii() and text.isprintable() and "\\" not in text):
        raise ValueError("an AE title of 1 to 16 characters")
    return text


def read_peers(text: str) -> tuple[Peer, ...]:
    """Read TITLE@ADDRESS, separated by commas; an address may be a network such as 10.1.0.0/16."""
    try:
        entries = [entry.strip().rpartition("@") for entry in text.split(",") if entry.strip()]
        return tuple(Peer(read_title(title.strip()), ip_network(address)) for title, _, address in entries)
    except ValueError:
        raise ValueError("TITLE@ADDRESS, separated by commas, such as MODALITY@10.1.2.3") from None


def read_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read addresses and networks separated by commas."""
    try:
        return tuple(ip_network(network.strip()) for network in text.split(",") if network.strip())
    except ValueError:
        raise ValueError("addresses or networks, separated by commas, such as 10.1.2.3,10.2.0.0/16") from None


def read_folders(text: str) -> tuple[Path, ...]:
    """Read folders separated by colons."""
    return tuple(read_path(folder.strip()) for folder in text.split(":") if folder.strip())
