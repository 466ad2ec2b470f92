"""The commands ``flask backup``, ``flask restore``, ``flask fsck``, ``flask key`` and ``flask retention``."""

from contextlib import nullcontext
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from sqlalchemy.exc import OperationalError

from birads_app import config, setting_values
from birads_app.cli.console_errors import one_line_errors
from birads_app.cli.interruption import cleaning_up
from birads_app.maintenance import backup, integrity, key_rotation, keys_file, restore, retention
from birads_app.maintenance.keys_file import Keys
from birads_app.records import audit_log, shared_locks
from birads_app.records.users import CONSOLE
from birads_app.terms.counts import counted

key_group = AppGroup("key", help="Change the site key.")
_FILE = click.Path(path_type=Path)


def init_app(app: Flask) -> None:
    """Add the commands to the application."""
    app.cli.add_command(key_group)
    for command in (back_up, restore_backup, check, retain):
        app.cli.add_command(command)


@click.command("backup")
@click.argument("target", metavar="FILE", type=_FILE)
@click.option("--keys", "keys_path", metavar="FILE", type=_FILE, help="Also write the keys, to this file.")
@with_appcontext
def back_up(target: Path, keys_path: Path | None) -> None:
    """Back up database, images, models and received studies into one archive, while the service runs.

    The keys, without which nobody can decrypt identities, are never part of the archive. The exit status is 1 if stored
    files were damaged already.
    """
    settings: config.Settings = current_app.extensions["birads_settings"]
    with one_line_errors(), cleaning_up():
        if keys_path is not None:
            keys_file.write(
                keys_path, Keys(current_app.extensions["birads_site_key"], config.secret_key(settings))
            )
        summary = backup.back_up(target, _report)
    try:
        audit_log.log(CONSOLE, "back up data", "", target.name)
    except OperationalError:
        click.echo("The audit log could not be written; the backup is whole.", err=True)
    click.echo(
        f"Backed up {counted(summary.exams, 'exam')} into {target}, {summary.bytes / 1e6:.1f} MB, verified."
    )
    if keys_path is None:
        click.echo(
            "The keys are not in the archive: without the site key nothing can be restored. Write them to a file "
            "with --keys, and keep it elsewhere."
        )
    else:
        click.echo(f"The keys are in {keys_path}, not in the archive. Keep the two in different places.")
    for problem in summary.problems:
        click.echo(f"damaged before the backup: {problem}", err=True)
    if summary.problems:
        raise SystemExit(1)


@click.command("restore")
@click.argument("source", metavar="FILE", type=_FILE)
@click.option("--keys", "keys_path", metavar="FILE", type=_FILE, help="The keys of the backup.")
@with_appcontext
def restore_backup(source: Path, keys_path: Path | None) -> None:
    """Restore a backup into an empty instance folder, and migrate its database to this version."""
    with one_line_errors():
        described = restore.restore(source, keys_path, _report)
    click.echo(
        f"Restored {counted(described.exams, 'exam')}, as of {described.created_at}. Check them with `flask fsck`."
    )


@click.command("fsck")
@click.option(
    "--repair", is_flag=True, help="Remove damaged derived files and leftovers; stop the service first."
)
@click.option(
    "--add-checksums", is_flag=True, help="Write the missing checksums of originals of earlier versions."
)
@with_appcontext
def check(repair: bool, add_checksums: bool) -> None:
    """Check every stored file against its checksum and its row, and every row against its files.

    The exit status is 1 if anything is wrong. Originals and rows are never changed: restore them from a backup.
    """
    with (
        one_line_errors(),
        shared_locks.of_app().alone("serving.lock") if repair else nullcontext(True) as alone,
    ):
        if not alone:
            raise click.ClickException("The service is running. Stop it before `flask fsck --repair`.")
        found = integrity.check(_report, repair=repair, add_checksums=add_checksums)
    for line in found.repaired:
        click.echo(f"repaired: {line}")
    for line in found.problems:
        click.echo(line)
    click.echo(
        f"Checked {counted(found.exams, 'exam')} with {counted(found.files, 'file')}: "
        f"{counted(len(found.problems), 'problem')}."
    )
    if found.unknown:
        click.echo(
            f"No checksum: {counted(found.unknown, 'original')}. `flask fsck --add-checksums` adds them."
        )
    if found.problems:
        raise SystemExit(1)


@key_group.command("rotate")
@click.option(
    "--new-key", "path", metavar="FILE", type=_FILE, help="The new key; by default one is generated."
)
def rotate(path: Path | None) -> None:
    """Encrypt identities, received studies and secrets with another site key. Stop the service first.

    Pseudonyms, replaced UIDs and shifted dates stay the same. A command that was interrupted may be repeated.
    """
    settings: config.Settings = current_app.extensions["birads_settings"]
    given = None
    if path is not None:
        try:
            given = setting_values.read_secret(path.read_text("ascii").strip())
        except OSError as error:
            raise click.ClickException(f"{path} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise click.ClickException(f"The key in {path} has to be {error}.") from None
    with one_line_errors():
        key_rotation.rotate(given, _report)
    click.echo("Everything is encrypted with the new site key. Pseudonyms have not changed.")
    if settings.site_key is not None:
        click.echo("Set BIRADS_SITE_KEY to the new key before you start the service.")
    click.echo("Make a new backup, with its keys in a new file. Earlier backups need the earlier keys.")


@click.command("retention")
@click.option("--dry-run", is_flag=True, help="Only list the exams that would go.")
@with_appcontext
def retain(dry_run: bool) -> None:
    """Move the exams that are older than BIRADS_RETENTION_DAYS into the bin; the server does this every hour."""
    settings: config.Settings = current_app.extensions["birads_settings"]
    if settings.retention_days is None:
        raise click.ClickException("Retention is off. Set BIRADS_RETENTION_DAYS.")
    with one_line_errors():
        if not dry_run:
            click.echo(f"Moved into the bin: {retention.run()}")
            return
        count = 0
        for count, exam in enumerate(retention.due(), 1):  # noqa: B007
            click.echo(f"{exam.id}\t{exam.stored_at:%Y-%m-%d}\t{'signed' if exam.signed else 'unsigned'}")
        click.echo(f"Would go: {counted(count, 'exam')}")


def _report(line: str) -> None:
    """Show progress beside the result."""
    click.echo(line, err=True)
