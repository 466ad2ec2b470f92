"""Which models were promoted, in that order: the file CURRENT in their folder. The last one serves."""

from pathlib import Path

from birads_app.model import bundles
from birads_app.terms.errors import BundleError, NoModel
from birads_app.terms.messages import msg


def current_name(models: Path) -> str:
    """Name of the model that serves; raises NoModel when none was promoted, BundleError as :func:`promoted`."""
    history = promoted(models)
    if not history:
        raise NoModel(msg("model-missing"))
    return bundles.check_name(history[-1])


def promoted(models: Path) -> list[str]:
    """Names in the order of their promotion; the last one serves. Raises BundleError where they cannot be read."""
    try:
        return (models / "CURRENT").read_text("utf-8").split()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(
            msg(
                "current-unreadable",
                file=str(models / "CURRENT"),
            )
        ) from error


def set_current(models: Path, name: str) -> None:
    """Verify a bundle and let it serve from now on; atomic for every reader."""
    bundles.load(models / bundles.check_name(name))
    history = promoted(models)
    if history[-1:] != [name]:
        _replace_history(models, [*history, name])


def previous(models: Path) -> str:
    """Name of the model that served before; raises NoModel where nothing was promoted before the current one."""
    history = promoted(models)
    if len(history) < 2:
        raise NoModel(msg("no-previous-model"))
    return bundles.check_name(history[-2])


def roll_back(models: Path) -> str:
    """Let the model before the current one serve again, and give its name.

    Raises
    ------
    NoModel
        Nothing was promoted before the current model.
    BundleError
        The model before is damaged or gone; the current one goes on serving.
    """
    name = previous(models)
    bundles.load(models / name)
    _replace_history(models, promoted(models)[:-1])
    return name


def _replace_history(models: Path, names: list[str]) -> None:
    bundles.replace(models / "CURRENT", "".join(f"{name}\n" for name in names).encode())
