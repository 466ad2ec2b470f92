"""The commands ``flask bin``: list, put, restore, erase, empty."""

import click
from flask import Flask
from flask.cli import AppGroup

from birads_app.cli.console_errors import one_line_errors
from birads_app.records import exam_bin
from birads_app.records.users import CONSOLE

bin_group = AppGroup("bin", help="Delete exams, list deleted ones, restore them, or erase them for good.")


def init_app(app: Flask) -> None:
    """Add the commands to the application."""
    app.cli.add_command(bin_group)


@bin_group.command("list")
def list_bin() -> None:
    """List the exams in the bin: id, patient, time and name of the deletion, time until which it is kept, reason."""
    with one_line_errors():
        page = 1
        while listed := exam_bin.listing(page):
            for one in listed:
                deletion = one.deletion
                fields = (
                    one.exam.id,
                    one.exam.pseudonym or "-",
                    f"{deletion.at:%Y-%m-%d %H:%M} UTC",
                    deletion.who,
                    f"kept until {one.kept_until:%Y-%m-%d %H:%M} UTC",
                    " ".join(deletion.reason.split()),
                )
                click.echo("\t".join(fields))
            page += 1


@bin_group.command("put")
@click.argument("exam_ids", metavar="EXAM...", nargs=-1, required=True)
@click.option("--reason", required=True, help="Recorded in the audit log.")
def put(exam_ids: tuple[str, ...], reason: str) -> None:
    """Move exams into the bin."""
    for exam_id in exam_ids:
        with one_line_errors():
            exam_bin.put(exam_id, CONSOLE, reason)
        click.echo(f"Moved exam {exam_id} into the bin.")


@bin_group.command("restore")
@click.argument("exam_id", metavar="EXAM")
def restore(exam_id: str) -> None:
    """Restore an exam from the bin."""
    with one_line_errors():
        exam_bin.restore(exam_id, CONSOLE)
    click.echo(f"Restored exam {exam_id}.")


@bin_group.command("erase")
@click.argument("exam_id", metavar="EXAM")
@click.option("--at-once", is_flag=True, help="Also before its time is over.")
@click.confirmation_option(prompt="Images, patient data and report texts are deleted for good. Go on?")
def erase(exam_id: str, at_once: bool) -> None:
    """Erase an exam of the bin for good."""
    with one_line_errors():
        exam_bin.erase(exam_id, CONSOLE, at_once=at_once)
    click.echo(f"Erased exam {exam_id}.")


@bin_group.command("empty")
def empty() -> None:
    """Erase all exams whose time in the bin is over, as the server does every hour."""
    with one_line_errors():
        click.echo(f"Erased exams: {exam_bin.erase_due(CONSOLE)}")
