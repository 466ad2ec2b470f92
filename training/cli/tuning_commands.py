"""The command ``flask tune``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask.cli import AppGroup

from training.cli import options
from training.cli.console import settings, site, training_errors, write_text

if TYPE_CHECKING:
    from training.config import TrainConfig

# AppGroup gives its commands the application context.
_commands = AppGroup("tuning")


@_commands.command("tune")
@options.tuning
def search_hyperparameters(
    data: Path,
    name: str,
    trials: int,
    search: str | None,
    objective: str,
    out: Path | None,
    scheduler: str | None,
    **hyperparameters: Any,
) -> None:
    """Search for hyperparameters by cross-validation, without the test part.

    The same command continues an interrupted search, or adds trials to a finished one.
    """
    from birads_app.model.bundles import check_name
    from training.pipeline import hyperparameter_search

    with training_errors():
        config = options.train_config(data, check_name(name), hyperparameters)
        chosen = hyperparameter_search.plan(config, options.codes(search), objective, trials)
        storage = Path(settings().instance) / "tuning" / f"{name}.sqlite"
        result = hyperparameter_search.run(chosen, site(scheduler), storage, click.echo)
        click.echo(
            f"Best of {result.trials} trials, cross-validated by patient: {objective} {result.reached}."
        )
        if result.given:
            click.echo(f"With the given settings: {result.given}.")
        click.echo(
            "The best of several trials is optimistic. The test part was not used: flask train with the same --seed, "
            "--test-share and data tests the model on it."
        )
        file = out or storage.with_suffix(".yaml")
        write_text(file, _yaml(result.best))
        click.echo(f"Wrote {file}. To train with it: flask train --config {file} --name NAME")


def _yaml(config: "TrainConfig") -> str:
    """Write the data and what differs from the defaults as a file for ``flask train --config``."""
    import yaml

    from training.config import defaults

    standard = defaults()
    differing = {
        name: value for name, value in vars(config).items() if name in standard and value != standard[name]
    }
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in differing.items()}
    return str(yaml.safe_dump({"data": config.data, **lists}, sort_keys=False, allow_unicode=True))
