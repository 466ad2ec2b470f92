"""``--config FILE`` of training commands: options from a YAML file, which those on the command line override.

The file's values become click's defaults of this call, so that types, ranges and error messages are those of the
options themselves.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from training import config, presets

# Keys besides hyperparameters.
_OTHERS = ("data", "phantoms", "name")


def read(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Take the values of a file as defaults; the callback of ``--config``.

    Raises
    ------
    UsageError
        The file is no YAML mapping, has a key that is no option, or a value that the option does not take.
    """
    if path is not None:
        options = {str(one.name): one for one in context.command.params}
        known = [name for name in (*_OTHERS, *config.hyperparameters()) if name in options]
        found = dict(_values(_content(path), known, path))
        for key, value in found.items():
            _check(context, options[key], value, path)
        context.default_map = {**(context.default_map or {}), **found}
    return path


def read_preset(context: click.Context, parameter: click.Parameter, preset: str | None) -> str | None:
    """Take the values of a preset as defaults, which a ``--config`` file overrides; the callback of ``--preset``."""
    if preset:
        given = context.default_map or {}
        read(context, parameter, presets.configuration(preset))
        context.default_map = {**(context.default_map or {}), **given}
    return preset


def _content(path: Path) -> Mapping[Any, Any]:
    """Read the file; an empty one is an empty mapping."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise click.UsageError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise click.UsageError(
            f"{path} has to hold lines such as learning_rate: 0.0005. Got a {type(content).__name__}."
        )
    return content


def _values(content: Mapping[Any, Any], known: Sequence[str], path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the name of each option and its value as the command line would have it; null leaves the default."""
    seen: dict[str, Any] = {}
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]}?" if near else f" Known keys: {', '.join(known)}."
            raise click.UsageError(f"{path}: unknown key {key!r}, got {value!r}.{hint}")
        if name in seen:
            raise click.UsageError(f"{path}: both {seen[name]!r} and {key!r} are given. Remove one of them.")
        seen[name] = key
        if value is not None:
            yield name, _as_option(name, value, path)


def _as_option(name: str, value: Any, path: Path) -> Any:
    """Write a value like on the command line: lists and mappings as texts with commas, flags as they are."""
    default = config.defaults().get(name)
    if isinstance(default, bool) or isinstance(value, bool):
        if isinstance(default, bool) and isinstance(value, bool):
            return value
        needed = "true or false" if isinstance(default, bool) else "a number or text; write text in quotes"
        raise click.UsageError(f"{path}: {name} has to be {needed}. Got {value!r}.")
    if name == "classes" and isinstance(value, list):
        return ",".join(map(str, value))
    if name in ("class_weights", "source_weights") and isinstance(value, dict):
        return ",".join(f"{code}={weight}" for code, weight in value.items())
    if isinstance(value, list | dict):
        raise click.UsageError(f"{path}: {name} has to be a single value. Got {value!r}.")
    return str(value)


def _check(context: click.Context, option: click.Parameter, value: Any, path: Path) -> None:
    """Raise UsageError if an option does not take a value."""
    try:
        option.type_cast_value(context, value)
    except click.BadParameter as error:
        raise click.UsageError(f"{path}: {option.name}: {error.message} Got {value!r}.") from error
