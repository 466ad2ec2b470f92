"""Options and commands of earlier versions: still accepted, hidden from ``--help``, with a warning on stderr."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

# Former option, with its value where the value is what changed; an empty name drops it.
_OPTIONS = {
    "--traps": "--sanity-checks",
    "--no-traps": "--no-sanity-checks",
    "--images": "--report-images",
    "--no-images": "--no-report-images",
    "--recipe=shipped": "--preset=demo",
    "--recipe=head": "",
    "--backbone-weights=shipped": "--backbone-weights=demo",
}
_WITH_VALUE = {"--recipe", "--backbone-weights"}


class CommandWithFormerOptions(click.Command):
    """A command that translates options of earlier versions before it parses them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments under their present names."""
        return super().parse_args(ctx, list(_translated(args)))


def hidden_alias(former: str, present: str, command: click.Command) -> click.Command:
    """Make a hidden command that does what ``flask PRESENT`` does, after a warning."""

    def run(**arguments: Any) -> Any:
        _warn(f"flask {former}", f"flask {present}")
        return command.callback(**arguments) if command.callback else None

    return click.Command(
        former.split()[-1], callback=run, params=command.params, help=command.help, hidden=True
    )


def _translated(args: Sequence[str]) -> Iterator[str]:
    """Arguments with former options replaced."""
    rest = iter(args)
    for argument in rest:
        joined = f"{argument}={next(rest, '')}" if argument in _WITH_VALUE else argument
        name, equals, value = joined.partition("=")
        if joined in _OPTIONS:
            present = _OPTIONS[joined]
        elif name in _OPTIONS:
            present = _OPTIONS[name] + equals + value
        else:
            yield joined
            continue
        _warn(joined if joined in _OPTIONS else name, present.removesuffix(equals + value))
        if present:
            yield present


def _warn(former: str, present: str) -> None:
    instead = f"use {present}" if present else "leave it out"
    click.echo(f"Warning: {former} is deprecated; {instead}.", err=True)
