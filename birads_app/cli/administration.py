"""The commands ``flask predict``, ``flask user``, ``flask token`` and ``flask patient``."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from birads_app.cli.console_errors import one_line_errors
from birads_app.imaging.decode import decode
from birads_app.imaging.dicom.dates import parse_date
from birads_app.records import (
    audit_log,
    identities,
    provider_accounts,
    rate_limit,
    tokens,
    totp,
    users,
)
from birads_app.records.errors import InvalidAccount
from birads_app.records.identities import Identity, PatientVersion
from birads_app.records.schema import Role
from birads_app.terms.categories import CATEGORIES
from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg

user_group = AppGroup("user", help="Manage accounts.")
token_group = AppGroup("token", help="Manage API tokens.")
patient_group = AppGroup("patient", help="Look up the patient of a pseudonym.")


def init_app(app: Flask) -> None:
    """Add the commands to the application."""
    for command in (predict, user_group, token_group, patient_group):
        app.cli.add_command(command)


@click.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_context
@with_appcontext
def predict(context: click.Context, paths: tuple[Path, ...], as_json: bool) -> None:
    """Predict the BI-RADS category of images and print it; nothing is stored.

    The exit status is 1 if any file could not be read.
    """
    failed = False
    for path in paths:
        answer = _judge(path)
        failed = failed or "error" in answer
        click.echo(json.dumps(answer, ensure_ascii=False) if as_json else _as_text(answer))
    context.exit(1 if failed else 0)


def _judge(path: Path) -> dict[str, Any]:
    """Predict one file; the result has either ``category`` and related keys, or ``error``."""
    try:
        data = path.read_bytes()
        mammogram = decode(data, path.name, current_app.extensions["birads_settings"].tomosynthesis)
        predictor = current_app.extensions["birads_models"].get()
        prediction = predictor.predict(mammogram)
    except OSError as error:
        return {"file": str(path), "error": f"The file cannot be read: {error.strerror}."}
    except BiradsError as error:
        return {"file": str(path), "error": str(error)}
    return {"file": str(path), "model": predictor.bundle.name, **prediction.to_json()}


def _as_text(answer: dict[str, Any]) -> str:
    """Format a result as text: file, category, probabilities, warnings."""
    if "error" in answer:
        return f"{answer['file']}\n  not analysed: {answer['error']}"
    code = answer["category"]
    chances = "  ".join(f"{known} {chance:4.0%}" for known, chance in answer["probabilities"].items())
    lines = [
        answer["file"],
        f"  BI-RADS {code}, {CATEGORIES[code].title}   (model {answer['model']})",
        f"  {chances}",
        *([f"  90 % prediction set: {', '.join(answer['possible'])}"] if answer["possible"] else []),
    ]
    return "\n".join([*lines, *(f"  warning: {warning}" for warning in answer["warnings"])])


@user_group.command("create")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.RADIOLOGIST.value,
    show_default=True,
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def create_user(name: str, role: str, password_stdin: bool) -> None:
    """Create an account."""
    with one_line_errors():
        users.check_new_name(name)
        users.create(name, _new_password(password_stdin), role)
    click.echo(f"Created {role} {name}.")


@user_group.command("list")
def list_users() -> None:
    """List the accounts with their roles."""
    with one_line_errors():
        for user in users.people():
            click.echo(f"{user.name}\t{user.role}\t{'active' if user.enabled else 'deactivated'}")


@user_group.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice([role.value for role in Role]))
def change_role(name: str, role: str) -> None:
    """Change the role of an account."""
    with one_line_errors():
        users.change_role(users.by_name(name), role)
    click.echo(f"Changed the role of {name} to {role}.")


@user_group.command("disable")
@click.argument("name")
def disable_user(name: str) -> None:
    """Deactivate an account; its activity is retained."""
    with one_line_errors():
        users.deactivate(users.by_name(name))
    click.echo(f"Deactivated {name}.")


@user_group.command("enable")
@click.argument("name")
def enable_user(name: str) -> None:
    """Reactivate an account."""
    with one_line_errors():
        users.activate(users.by_name(name))
    click.echo(f"Reactivated {name}.")


@user_group.command("password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def reset_password(name: str, password_stdin: bool) -> None:
    """Set an account's password, end its sessions and revoke its tokens."""
    with one_line_errors():
        user = users.by_name(name)
        users.set_password(user, _new_password(password_stdin))
    click.echo(f"Changed the password of {name}, ended its sessions and revoked its tokens.")


@user_group.command("signature")
@click.argument("name")
@click.option("--full-name", default="", help="Such as 'Dr. Anna Berg'; empty removes it.")
@click.option("--title", default="", help="Title or position, such as 'Consultant radiologist'.")
def set_signature(name: str, full_name: str, title: str) -> None:
    """Set full name and title under the future reports of an account."""
    with one_line_errors():
        users.set_signature(users.by_name(name), full_name, title)
    click.echo(f"Future reports of {name} are signed: {', '.join(filter(None, (full_name or name, title)))}.")


@user_group.command("reset-two-step")
@click.argument("name")
def reset_two_step(name: str) -> None:
    """Turn two-step verification off for a user who lost phone and recovery codes."""
    with one_line_errors():
        totp.remove(users.by_name(name))
    click.echo(f"Turned two-step verification off for {name}. The next sign-in needs the password alone.")


@user_group.command("link")
@click.argument("name")
@click.argument("subject")
def link_user(name: str, subject: str) -> None:
    """Let SUBJECT of the identity provider (the claim "sub") sign on to the account NAME."""
    issuer = current_app.extensions["birads_settings"].oidc_issuer
    with one_line_errors():
        if not issuer:
            raise InvalidAccount(msg("sign-on-not-set-up"))
        provider_accounts.link(users.by_name(name), issuer, subject)
    click.echo(f"{subject} of {issuer} signs on as {name} from now on.")


@user_group.command("unlink")
@click.argument("name")
def unlink_user(name: str) -> None:
    """End the sign-on to the account NAME at the identity provider, and its sessions."""
    with one_line_errors():
        provider_accounts.unlink(users.by_name(name))
    click.echo(f"Nobody signs on to {name} at the identity provider any more.")


def _new_password(from_stdin: bool) -> str:
    if from_stdin:
        return _password_from_stdin()
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _password_from_stdin() -> str:
    """Return the first line of standard input."""
    try:
        return sys.stdin.buffer.readline().decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.ClickException("The password on standard input is not UTF-8 text.") from None


@token_group.command("create")
@click.argument("name")
@click.option("--for", "purpose", default="", help="Purpose of the token, shown in the list of tokens.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(tokens.SCOPES),
    default=tokens.DEFAULT_SCOPES,
    show_default=True,
    help="What the token may do; repeat for several.",
)
@click.option("--days", type=int, help=f"Lifetime in days.  [default: {tokens.DEFAULT_DAYS}]")
def create_token(name: str, purpose: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Create an API token for the account NAME. It is printed once and cannot be shown again."""
    with one_line_errors():
        click.echo(tokens.create(users.by_name(name), purpose, scopes=scopes, days=days))


@token_group.command("list")
def list_tokens() -> None:
    """List the tokens: account, purpose, scopes, end, last use."""
    with one_line_errors():
        for token in tokens.listing():
            used = f"{token.last_used_at:%Y-%m-%d}" if token.last_used_at else "never used"
            click.echo(
                f"{token.user.name}\t{token.name}\t{token.scopes}\t{token.expires_at:%Y-%m-%d}\t{used}"
            )


@patient_group.command("lookup")
@click.argument("subject", metavar="PSEUDONYM|EXAM")
@click.option("--as", "name", required=True, metavar="NAME", help="An administrator's account.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def look_up_patient(subject: str, name: str, password_stdin: bool) -> None:
    """Print the patient of a pseudonym or an exam. If the exam's files contradict each other, print all versions.

    Asks for the administrator's password and is recorded in the audit log.
    """
    password = _password_from_stdin() if password_stdin else click.prompt("Password", hide_input=True)
    with one_line_errors():
        rate_limit.register(name, "console")
        user = users.authenticate(name, password)
        if user is None:
            audit_log.log(users.name_on_record(name), "look up refused", detail="password")
            raise click.ClickException("Name and password do not match.")
        rate_limit.forget(name, "console")
        subject = subject.strip()
        found = identities.look_up(user, subject.upper() if "-" in subject else subject.lower())
    if not found.versions:
        _print_patient(found)
    for number, version in enumerate(found.versions, 1):
        click.echo(f"Version {number} of {len(found.versions)}")
        _print_patient(version)
    _print_fields(("Latest exam", _day(found.study_date)), ("Accession number", found.accession_number))


def _print_patient(patient: Identity | PatientVersion) -> None:
    _print_fields(
        ("Name", patient.patient_name),
        ("Patient ID", patient.patient_id),
        ("Issuer", patient.issuer),
        ("Date of birth", _day(patient.birth_date)),
        ("Sex", patient.sex),
    )


def _day(value: str) -> str:
    """Write a DICOM date as 2026-01-31; anything else stays as it is."""
    day = parse_date(value)
    return day.isoformat() if day else value


def _print_fields(*fields: tuple[str, str]) -> None:
    for title, value in fields:
        click.echo(f"{title + ':':<18}{value or 'not stated'}")
