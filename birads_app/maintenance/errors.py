"""Errors of the maintenance commands."""

import click


class MaintenanceError(click.ClickException):
    """The command cannot be carried out; the command line shows the message alone."""
