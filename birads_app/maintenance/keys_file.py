"""File of an installation's keys, which a backup keeps apart from its archive; only its owner may read it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from birads_app.files import atomic
from birads_app.maintenance.errors import MaintenanceError
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import SiteKeyDiffers

_FORMAT = 1
_PURPOSE, _OWNER = "birads backup", "check"


@dataclass(frozen=True)
class Keys:
    """The keys of an installation."""

    site_key: str = field(repr=False)
    secret_key: str = field(repr=False)


def write(path: Path, keys: Keys) -> bool:
    """Write the keys, unless the file has them already; return True if it was written.

    Raises
    ------
    MaintenanceError
        The file has other keys, which older backups need, or cannot be written.
    """
    try:
        if path.exists():
            if read(path) == keys:
                return False
            raise MaintenanceError(
                f"{path} has other keys, which older backups need. Choose another file for the present keys."
            )
        atomic.create(path, json.dumps({"format": _FORMAT, **asdict(keys)}, indent=1) + "\n")
    except OSError as error:
        raise MaintenanceError(f"{path} cannot be written: {error.strerror}.") from error
    return True


def read(path: Path) -> Keys:
    """Read the keys; raises MaintenanceError if the file is missing or is none of keys."""
    try:
        values = json.loads(path.read_text("utf-8"))
        return Keys(str(values["site_key"]), str(values["secret_key"]))
    except OSError as error:
        raise MaintenanceError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError):
        raise MaintenanceError(f"{path} is not a file of keys that `flask backup --keys` wrote.") from None


def check_value(site_key: str) -> str:
    """Return a ciphertext that only this site key decrypts, in hexadecimal."""
    return encrypt(b"", site_key, _PURPOSE, _OWNER).hex()


def fits(site_key: str, check: str) -> bool:
    """Return True if the check value was made with this site key."""
    try:
        decrypt(bytes.fromhex(check), site_key, _PURPOSE, _OWNER)
    except (SiteKeyDiffers, ValueError):
        return False
    return True
