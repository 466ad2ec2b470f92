"""The commands ``flask files``."""

from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from birads_app.cli.console_errors import one_line_errors
from birads_app.records import file_store, file_transfer, shared_locks
from birads_app.records.file_store import FileStore
from birads_app.setting_values import read_files_url
from birads_app.terms.counts import counted

files_group = AppGroup("files", help="Manage images, received objects and waiting uploads.")


def init_app(app: Flask) -> None:
    """Add the commands to the application."""
    app.cli.add_command(files_group)


@files_group.command("copy")
@click.option("--from", "source", metavar="URL", help="By default the instance folder.")
@click.option("--to", "target", metavar="URL", help="By default the place of BIRADS_FILES_URL.")
def copy(source: str | None, target: str | None) -> None:
    """Copy all files into an empty place and compare them; stop the service first.

    A URL is file:///FOLDER or s3://BUCKET/PREFIX, as in BIRADS_FILES_URL. The source stays as it is. A copy that was
    interrupted may be repeated, and goes on where it was.
    """
    instance = Path(current_app.instance_path)
    read = FileStore(instance) if source is None else _opened(source, instance)
    written = file_store.of_app() if target is None else _opened(target, instance)
    if read.name == written.name:
        raise click.ClickException(
            f"The files are in {read.name} already. Name another place with --to, or set BIRADS_FILES_URL to it."
        )
    try:
        with one_line_errors(), shared_locks.of_app().alone("serving.lock") as unused:
            if not unused:
                raise click.ClickException("The service is running. Stop it before its files are copied.")
            if not file_transfer.may_copy_into(written):
                raise click.ClickException(
                    f"{written.name} is not empty. Copy into a new folder or prefix, which no service has used yet."
                )
            copied = file_transfer.copy(read, written, lambda line: click.echo(line, err=True))
    except OSError as error:
        raise click.ClickException(
            f"The files cannot be copied: {error.strerror} ({error.filename})."
        ) from error
    click.echo(
        f"Copied and compared {counted(copied.exams, 'exam')} and {counted(copied.waiting, 'file')} that wait, from "
        f"{read.name} to {written.name}. Set BIRADS_FILES_URL to it, then check with `flask fsck`."
    )


def _opened(url: str, instance: Path) -> FileStore:
    try:
        return file_store.at(read_files_url(url), instance)
    except ValueError as error:
        raise click.ClickException(f"A place of files has to be {error}.") from None
