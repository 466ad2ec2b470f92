"""Create an account with a token, and the database if there is none: ``python -m bench.new_account NAME < PASSWORD``.

Prints the token. One process does what takes three commands, each of which would load the application.
"""

import sys

from birads_app import create_app
from birads_app.records import migrate, tokens, users
from birads_app.records.schema import Role


def main(name: str, password: str) -> None:
    """Do it."""
    with create_app().app_context():
        if not migrate.is_current():
            migrate.upgrade()
        users.create(name, password, Role.RADIOLOGIST)
        print(tokens.create(users.by_name(name)))


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin.read())
