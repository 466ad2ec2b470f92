"""The commands ``flask audit``: verify and head."""

import sys
from pathlib import Path

import click
from flask import Flask
from flask.cli import AppGroup

from birads_app.cli.console_errors import one_line_errors
from birads_app.records import audit_chain, audit_check
from birads_app.records.audit_chain import AuditHead
from birads_app.terms.counts import counted

audit_group = AppGroup("audit", help="Verify the hash chain of the audit log.")
_HEAD_MAX = 4096  # bytes read of a file


def init_app(app: Flask) -> None:
    """Add the commands to the application."""
    app.cli.add_command(audit_group)


@audit_group.command("verify")
@click.option("--head", metavar="FILE|TEXT", help="A head printed earlier, which the log must still contain.")
def verify(head: str | None) -> None:
    """Check that no entry of the audit log was changed, removed, inserted or moved.

    Prints the first entry that is not as it was written; the exit status is 1 then. Whether entries were removed at the
    end is certain only with --head.
    """
    with one_line_errors():
        expected = audit_chain.read_head(_content(head)) if head is not None else None
        length = audit_chain.count()
        with click.progressbar(length=length, label="entries", hidden=not sys.stdout.isatty()) as bar:
            entries = audit_check.run(expected, bar.update)
        click.echo(f"The audit log is intact: {counted(entries, 'entry', 'entries')}.")
        if expected:
            click.echo(f"It contains the given head, entry {expected.number}.")


@audit_group.command("head")
def show_head() -> None:
    """Print number, time and hash of the newest entry, to be kept outside of this server."""
    with one_line_errors():
        newest: AuditHead | None = audit_chain.head()
    if newest is None:
        raise click.ClickException("The audit log has no entry yet.")
    click.echo(newest)


def _content(given: str) -> str:
    """Return the text, or the content of the file with that name."""
    path = Path(given)
    try:
        if len(given) < 1024 and path.is_file():
            with path.open("rb") as stream:
                return stream.read(_HEAD_MAX).decode("utf-8", "replace")
    except OSError as error:
        raise click.ClickException(f"{given} cannot be read: {error.strerror}.") from None
    return given
