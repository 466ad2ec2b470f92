"""The commands of ``flask models``."""

from pathlib import Path
from typing import IO, TYPE_CHECKING

import click
from flask.cli import AppGroup

from training.cli import options
from training.cli.console import settings, training_errors

if TYPE_CHECKING:
    from birads_app.model.registry import ListedModel


@click.group("models", cls=AppGroup)
def models() -> None:
    """List, show, verify and promote model bundles."""


@models.command("list")
def list_models() -> None:
    """List the models; a star marks the one in service."""
    from birads_app.model import registry

    with training_errors():
        entries = registry.list_models(Path(settings().models))
    if not entries:
        click.echo("No models yet. Train one: flask train --data DIR --name NAME")
    width = max((len(one.name) for one in entries), default=0)
    for one in entries:
        click.echo(f"{'*' if one.serves else ' '} {one.name:{width}}  {_line(one)}")


def _line(one: "ListedModel") -> str:
    """Describe a model in one line."""
    if one.bundle is None:
        return f"DAMAGED: {one.damage}"
    kind = ", demonstration" if one.bundle.demonstration else ""
    if one.bundle.cautions and not one.bundle.demonstration:
        kind += ", CAUTION"
    if one.objection:
        kind += ", LEAKS" if one.bundle.manifest.get("leaks") else ", for comparison only"
    created = one.bundle.manifest.get("created", "")
    return f"BI-RADS {' '.join(one.bundle.classes)}, {one.bundle.head} head{kind} {created}".rstrip()


@models.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print a model's card."""
    from birads_app.model.registry import card

    with training_errors():
        click.echo(card(Path(settings().models), name))


@models.command("card")
@click.argument("name")
def write_card(name: str) -> None:
    """Write a model's card again from its stored figures."""
    from birads_app.model import bundles
    from birads_app.model.registry import find
    from training.presets.stored_card import render

    with training_errors():
        bundle = find(Path(settings().models), name)
        bundles.replace_card(bundle.path, render(bundle))
        click.echo(f"Wrote the card of {name}: {bundle.path / bundles.CARD}")


@models.command("verify")
@click.argument("name")
def verify(name: str) -> None:
    """Check a model's checksums and run it once."""
    from birads_app.model import registry

    with training_errors():
        configured = settings()
        bundle = registry.verify(Path(configured.models), name, configured.engine, configured.precision)
        click.echo(f"{name} is valid: checksums match, and it predicts BI-RADS {', '.join(bundle.classes)}.")


@models.command("promote")
@click.argument("name")
@click.option(
    "--override-protocol",
    is_flag=True,
    help="Promote it although it leaks or is for comparison only; this is recorded.",
)
@options.REASON
def promote_model(name: str, override_protocol: bool, reason: str) -> None:
    """Verify a model and put it into service, without a restart."""
    with training_errors():
        promoted(name, reason, override_protocol)


@models.command("export")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--onnx", is_flag=True, help="Write an ONNX graph for other programs instead of an archive.")
def export_model(name: str, file: Path, onnx: bool) -> None:
    """Write a model as a signed archive, to be taken to another site, or as an ONNX graph."""
    from birads_app.files import atomic
    from birads_app.services import model_files

    with training_errors():
        if onnx:
            from training.engine import onnx_export

            difference = onnx_export.write(model_files.leaving(name), file)
            click.echo(f"Wrote {file}; probabilities differ by at most {difference:.1g} from the model's.")
            return
        with atomic.replacing(file) as draft, draft.open("wb") as target:
            model_files.export(name, target)
        click.echo(f"Wrote {file}, signed with the key {model_files.own_fingerprint()}")


@models.command("ensemble")
@click.argument("name")
@click.argument("members", nargs=-1, required=True)
def make_ensemble(name: str, members: tuple[str, ...]) -> None:
    """Join the models MEMBERS into the new model NAME, whose probabilities are the means of theirs."""
    from birads_app.model.registry import find
    from training.pipeline import ensemble

    with training_errors():
        folder = Path(settings().models)
        path = ensemble.write(folder, name, [find(folder, member) for member in members])
        click.echo(f"Wrote {path}. To test it: flask evaluate --model {name} --data DATA")


@models.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--name", default="", help="Name of the new model. Default: the one in the archive.")
@click.option("--accept-key", default="", metavar="FINGERPRINT", help="Key of another site to accept.")
def import_model(file: IO[bytes], name: str, accept_key: str) -> None:
    """Add the model of a signed archive; it is not in service before it is promoted."""
    from birads_app.services import model_files

    with training_errors():
        click.echo(f"Added {model_files.add(file, name, accept_key)}.")


@models.command("delete")
@click.argument("name")
@options.REASON
def delete_model(name: str, reason: str) -> None:
    """Delete a model that is not in service."""
    from birads_app.services import model_files

    with training_errors():
        model_files.delete(name, reason)
        click.echo(f"Deleted {name}.")


@models.command("rollback")
@options.REASON
def rollback(reason: str) -> None:
    """Put the previous model back into service."""
    from birads_app.services.promotion import roll_back

    with training_errors():
        click.echo(f"{roll_back(reason=reason)} is in service again.")


def promoted(name: str, reason: str = "", override: bool = False) -> None:
    """Promote a model and print a line about it."""
    from birads_app.services.promotion import promote as run

    run(name, reason=reason, override=override)
    click.echo(f"{name} is in service now.")
