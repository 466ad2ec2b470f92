"""A model on disk: a folder that describes itself, is checked before it is read, and holds no code.

``models/NAME/`` holds ``manifest.json``, ``README.md`` (the model card), ``backbone.pb`` and ``head.pb``
(frozen graphs, float16 weights), ``evaluation.json``, and where there is one ``report.html``.
``models/CURRENT`` lists the names that were promoted, oldest first; the last line serves.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birads_app.inference import preprocess
from birads_app.inference.errors import BundleError, NoModel
from birads_app.inference.exam_answer import DEFAULT_RULE, RULES
from birads_app.inference.translatable import say

SCHEMA = 1
BACKBONE, HEAD, CARD, EVALUATION, MANIFEST = (
    "backbone.pb",
    "head.pb",
    "README.md",
    "evaluation.json",
    "manifest.json",
)
REPORT = "report.html"
_FILES = (BACKBONE, HEAD, CARD, EVALUATION)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Bundle:
    """A verified model bundle.

    classes : BI-RADS codes in the order of the head's logits
    size : side of the square input in pixels
    temperature : what logits are divided by before the softmax
    threshold : of the prediction sets (:mod:`birads_app.inference.prediction_set`); None where it has none
    exam_rule : by which a breast's views are put together (:mod:`birads_app.inference.exam_answer`)
    demonstration : True where the model only shows what the product does
    """

    path: Path
    manifest: dict[str, Any]
    name: str
    classes: tuple[str, ...]
    size: int
    temperature: float
    threshold: float | None
    exam_rule: str
    head: str
    demonstration: bool
    card: str


def load(path: Path) -> Bundle:
    """Verify a bundle's files against its manifest, then read it.

    Raises
    ------
    BundleError
        A file is missing or changed, or the manifest is of a newer schema, unreadable or incomplete.
    """
    manifest = _read_manifest(path)
    optional = (REPORT,) if REPORT in manifest["files"] else ()
    for file in (*_FILES, *optional):
        _verify_file(path / file, manifest["files"].get(file))
    sets = manifest.get("prediction_set")
    return Bundle(
        path=path,
        manifest=manifest,
        name=path.name,
        classes=tuple(manifest["classes"]),
        size=int(manifest["preprocessing"]["size"]),
        temperature=float(manifest["temperature"]),
        threshold=float(sets["threshold"]) if sets else None,
        exam_rule=manifest.get("exam_rule", DEFAULT_RULE),
        head=str(manifest["head"]["kind"]),
        demonstration=bool(manifest["demonstration"]),
        card=(path / CARD).read_text("utf-8"),
    )


def write(
    models: Path,
    name: str,
    *,
    manifest: dict[str, Any],
    card: str,
    backbone: bytes,
    head: bytes,
    evaluation: dict[str, Any],
    report: str | None = None,
) -> Path:
    """Write a bundle whole or not at all.

    Parameters
    ----------
    models : the folder of bundles; made where it is missing
    manifest : ``classes, demonstration, preprocessing {version, size}, head {kind, ...}, temperature``, and
        whatever else should be kept (``prediction_set {level, threshold}``, ``exam_rule``, ``created``,
        ``backbone``, ``training``); ``schema``, ``name`` and ``files`` are filled in
    report : the page ``report.html``, if there is one

    Raises
    ------
    BundleError
        The name cannot be a folder's, or is taken.
    """
    target = models / check_name(name)
    if target.exists():
        raise BundleError(say("There is already a model named %(name)s. Choose another --name.", name=name))
    models.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=models))
    try:
        contents = {
            BACKBONE: backbone,
            HEAD: head,
            CARD: card.encode(),
            EVALUATION: _to_json(evaluation),
            **({REPORT: report.encode()} if report is not None else {}),
        }
        files = {
            file: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for file, data in contents.items()
        }
        contents[MANIFEST] = _to_json({"schema": SCHEMA, "name": name, **manifest, "files": files})
        for file, data in contents.items():
            _write_synced(draft / file, data)
        draft.chmod(0o755)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return target


def check_name(name: str) -> str:
    """Give the name back if it can be a bundle's; raise BundleError otherwise."""
    if not _NAME.fullmatch(name):
        raise BundleError(
            say(
                "%(name)s cannot be a model's name. Use up to 64 letters, digits, dots, hyphens and underscores, "
                "beginning with a letter or digit.",
                name=repr(name),
            )
        )
    return name


def list_names(models: Path) -> list[str]:
    """Names of all bundles in the folder, sorted; verified or not."""
    return sorted(manifest.parent.name for manifest in models.glob(f"[!.]*/{MANIFEST}"))


def version(models: Path, name: str) -> str:
    """The digest of a bundle's manifest, which has those of all its files; "removed" where the bundle is gone."""
    manifest = models / name / MANIFEST
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else "removed"


def current_name(models: Path) -> str:
    """Name of the model that serves; raises NoModel when none was promoted, BundleError as :func:`promoted`."""
    history = promoted(models)
    if not history:
        raise NoModel(
            say(
                "No model is installed. Train one with `flask train --data DIR --name NAME --promote`, "
                "or promote one with `flask models promote NAME`."
            )
        )
    return check_name(history[-1])


def promoted(models: Path) -> list[str]:
    """Names in the order of their promotion; the last one serves. Raises BundleError where they cannot be read."""
    try:
        return (models / "CURRENT").read_text("utf-8").split()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(
            say(
                "%(file)s cannot be read. Remove it, then `flask models promote NAME`.",
                file=str(models / "CURRENT"),
            )
        ) from error


def set_current(models: Path, name: str) -> None:
    """Verify a bundle and let it serve from now on; atomic for every reader."""
    load(models / check_name(name))
    history = promoted(models)
    if history[-1:] != [name]:
        _replace_history(models, [*history, name])


def previous(models: Path) -> str:
    """Name of the model that served before; raises NoModel where nothing was promoted before the current one."""
    history = promoted(models)
    if len(history) < 2:
        raise NoModel(say("There is no earlier model to go back to."))
    return check_name(history[-2])


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
    load(models / name)
    _replace_history(models, promoted(models)[:-1])
    return name


def _read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest and check that this program understands it."""
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise BundleError(
            say(
                "There is no model named %(name)s. `flask models list` shows those there are.", name=path.name
            )
        ) from None
    except (ValueError, OSError) as error:
        raise BundleError(
            say("The manifest of model %(name)s is damaged. Restore the folder or retrain.", name=path.name)
        ) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema"), int):
        raise BundleError(
            say(
                "The manifest of model %(name)s names no schema. Restore the folder or retrain.",
                name=path.name,
            )
        )
    if manifest["schema"] > SCHEMA:
        raise BundleError(
            say(
                "Model %(name)s has schema %(schema)d, this program reads up to %(supported)d. Update the program.",
                name=path.name,
                schema=manifest["schema"],
                supported=SCHEMA,
            )
        )
    _check_entries(path.name, manifest)
    return manifest


def _check_entries(name: str, manifest: dict[str, Any]) -> None:
    """Check the entries that serving depends on."""
    try:
        classes = manifest["classes"]
        complete = (
            isinstance(manifest["files"], dict)
            and isinstance(classes, list)
            and len(classes) > 1
            and all(code in {"0", "1", "2", "3", "4", "5", "6"} for code in classes)
            and float(manifest["temperature"]) > 0
            and int(manifest["preprocessing"]["size"]) >= 32
            and isinstance(manifest["head"]["kind"], str)
            and isinstance(manifest["demonstration"], bool)
            and 0 <= float((manifest.get("prediction_set") or {"threshold": 1})["threshold"]) <= 1
            and manifest.get("exam_rule", DEFAULT_RULE) in RULES
        )
        version = manifest["preprocessing"]["version"]
    except (KeyError, TypeError, ValueError):
        complete, version = False, None
    if not complete:
        raise BundleError(
            say("The manifest of model %(name)s is incomplete. Restore the folder or retrain.", name=name)
        )
    if version != preprocess.VERSION:
        raise BundleError(
            say(
                "Model %(name)s was made with preprocessing %(version)s, this program has %(supported)d. Retrain it.",
                name=name,
                version=version,
                supported=preprocess.VERSION,
            )
        )


def _verify_file(file: Path, expected: Any) -> None:
    """Compare a file's size and SHA-256 with the manifest's."""
    model = file.parent.name
    if not file.is_file() or not isinstance(expected, dict):
        raise BundleError(
            say("Model %(model)s lacks %(file)s. Restore the folder or retrain.", model=model, file=file.name)
        )
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(
            say(
                "%(file)s of model %(model)s cannot be read: %(reason)s.",
                file=file.name,
                model=model,
                reason=str(error.strerror),
            )
        ) from error
    if digest != expected.get("sha256"):
        raise BundleError(
            say(
                "%(file)s of model %(model)s was changed or damaged. Restore the folder or retrain.",
                file=file.name,
                model=model,
            )
        )


def _replace_history(models: Path, names: list[str]) -> None:
    """Replace CURRENT in one step."""
    handle, draft = tempfile.mkstemp(prefix=".CURRENT-", dir=models)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write("".join(f"{name}\n" for name in names))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(draft, 0o644)
        os.replace(draft, models / "CURRENT")
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _to_json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
