"""Model bundles: self-describing folders, verified before they are read, without any code.

``models/NAME/`` holds ``manifest.json``, ``README.md`` (the model card), ``backbone.pb`` and ``head.pb``
(frozen graphs, float16 weights), ``evaluation.json``, and optionally ``report.html``,
``ood.npz`` (OOD detector), ``ood.md`` (its section of the card) and ``digests.npz`` (of the training images).
:mod:`birads_app.model.registry` records the active one.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from birads_app.files import atomic
from birads_app.model import ood, preprocess, training_digests
from birads_app.model.aggregation import DEFAULT_POOLING, POOLING
from birads_app.model.cautions import cautions
from birads_app.model.ood import OodDetector
from birads_app.model.preprocess import InputSize
from birads_app.model.training_digests import TrainingDigests
from birads_app.terms.errors import BundleError
from birads_app.terms.messages import msg

SCHEMA = 1
BACKBONE, HEAD, CARD, EVALUATION, MANIFEST = (
    "backbone.pb",
    "head.pb",
    "README.md",
    "evaluation.json",
    "manifest.json",
)
REPORT, OOD_DETECTOR, OOD_CARD, DIGESTS = "report.html", "ood.npz", "ood.md", "digests.npz"
# Names of these two files in bundles of earlier versions.
_FORMER_DETECTOR, _FORMER_CARD = "familiarity.npz", "familiarity.md"
# In the manifest's entry of a file that is being replaced: SHA-256 of the previous content.
_FORMER_DIGEST = "former_sha256"
_FILES = (BACKBONE, HEAD, CARD, EVALUATION)
_OPTIONAL = (REPORT, OOD_DETECTOR, OOD_CARD, DIGESTS, _FORMER_DETECTOR, _FORMER_CARD)
# Files whose content belongs to a loaded bundle.
_READ = frozenset((CARD, EVALUATION, OOD_DETECTOR, OOD_CARD, _FORMER_DETECTOR, _FORMER_CARD))
# Every file that a bundle may have besides its manifest.
FILES = (*_FILES, *_OPTIONAL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Location:
    """A backbone's location head.

    channel : of the feature map, which is the activation of the location head (:mod:`birads_app.model.marks`)
    threshold : lowest score of a mark, 0..1
    """

    channel: int
    threshold: float


@dataclass(frozen=True)
class Bundle:
    """A verified model bundle.

    classes : BI-RADS codes in the order of the head's logits
    size : of the backbone's input
    temperature : divisor of the logits before the softmax
    threshold : threshold of prediction sets (:mod:`birads_app.model.conformal`); None if there is none
    pooling : rule by which a breast's views are pooled (:mod:`birads_app.model.aggregation`)
    demonstration : True for a demonstration model
    cautions : reasons not to rely on it (:mod:`birads_app.model.cautions`)
    ood_detector : detector of out-of-distribution images; None if it has none
    location : the backbone's location head; None if it locates no findings
    card : the model card, Markdown
    """

    path: Path
    manifest: dict[str, Any]
    name: str
    classes: tuple[str, ...]
    size: InputSize
    temperature: float
    threshold: float | None
    pooling: str
    head: str
    demonstration: bool
    cautions: tuple[str, ...]
    card: str
    ood_detector: OodDetector | None
    location: Location | None = None

    @property
    def trained_on(self) -> TrainingDigests | None:
        """Digests of the training images; None if none are recorded. Raises BundleError if they are damaged."""
        if DIGESTS not in self.manifest["files"]:
            return None
        try:
            return training_digests.read((self.path / DIGESTS).read_bytes())
        except (OSError, ValueError) as error:
            raise BundleError(msg("bundle-file-damaged", name=self.name, file=DIGESTS)) from error

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which lists those of all files."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    @property
    def created(self) -> date | None:
        """Date of the training; None if the manifest lacks it."""
        try:
            return date.fromisoformat(str(self.manifest.get("created"))[:10])
        except ValueError:
            return None


def load(path: Path) -> Bundle:
    """Verify a bundle's files against its manifest and read it; each file is read once.

    Raises
    ------
    BundleError
        A file is missing or changed, or the manifest is of a newer schema, unreadable or incomplete.
    """
    manifest = _read_manifest(path)
    held = tuple(file for file in _OPTIONAL if file in manifest["files"])
    contents = {file: _verified(path / file, manifest["files"].get(file)) for file in (*_FILES, *held)}
    sets = manifest.get("prediction_set")
    return Bundle(
        path=path,
        manifest=manifest,
        name=path.name,
        classes=tuple(manifest["classes"]),
        size=InputSize.from_json(manifest["preprocessing"]["size"]),
        temperature=float(manifest["temperature"]),
        threshold=float(sets["threshold"]) if sets else None,
        pooling=manifest.get("exam_rule", DEFAULT_POOLING),
        head=str(manifest["head"]["kind"]),
        demonstration=bool(manifest["demonstration"]),
        cautions=cautions(manifest, _evaluation(path.name, contents[EVALUATION])),
        card="\n".join(
            contents[file].decode("utf-8") for file in (CARD, OOD_CARD, _FORMER_CARD) if file in contents
        ),
        ood_detector=next(
            (
                _ood_detector(path / file, contents[file])
                for file in (OOD_DETECTOR, _FORMER_DETECTOR)
                if file in contents
            ),
            None,
        ),
        location=_location(manifest),
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
    ood_detector: OodDetector | None = None,
    trained_on: TrainingDigests | None = None,
) -> Path:
    """Write a bundle atomically.

    Parameters
    ----------
    models : folder of bundles; created if missing
    manifest : ``classes, demonstration, preprocessing {version, size}, head {kind, ...}, temperature``, and
        optional entries (``prediction_set {level, threshold}``, ``exam_rule``, ``created``,
        ``backbone``, ``training``); ``schema``, ``name`` and ``files`` are filled in
    report : the page ``report.html``, if there is one
    ood_detector : detector of out-of-distribution images
    trained_on : digests of the training images, those of the backbone's training included

    Raises
    ------
    BundleError
        The name is invalid or taken.
    """
    target = models / check_name(name)
    if target.exists():
        raise BundleError(msg("bundle-name-taken", name=name))
    models.mkdir(parents=True, exist_ok=True)
    with atomic.new_folder(target) as draft:
        contents = {
            BACKBONE: backbone,
            HEAD: head,
            CARD: card.encode(),
            EVALUATION: _to_json(evaluation),
            **({REPORT: report.encode()} if report is not None else {}),
            **({OOD_DETECTOR: ood_detector.to_bytes()} if ood_detector is not None else {}),
            **({DIGESTS: trained_on.to_bytes()} if trained_on is not None else {}),
        }
        files = {file: _entry(data) for file, data in contents.items()}
        contents[MANIFEST] = _to_json({"schema": SCHEMA, "name": name, **manifest, "files": files})
        for file, data in contents.items():
            atomic.write_synced(draft / file, data)
    return target


def replace_card(path: Path, card: str) -> None:
    """Replace the model card of a bundle.

    The bundle is valid at all times: while the file is replaced, the manifest lists its old and new checksums.

    Raises
    ------
    BundleError
        The bundle is missing or damaged.
    """
    manifest = load(path).manifest
    data, files = card.encode(), manifest["files"]
    former = _entry(_verified(path / CARD, files.get(CARD)))
    new = _entry(data)
    both = {**new, _FORMER_DIGEST: former["sha256"]}
    atomic.write(path / MANIFEST, _to_json({**manifest, "files": {**files, CARD: both}}), sync=True)
    atomic.write(path / CARD, data, sync=True)
    atomic.write(path / MANIFEST, _to_json({**manifest, "files": {**files, CARD: new}}), sync=True)


def check_name(name: str) -> str:
    """Return a valid bundle name unchanged; raises BundleError otherwise."""
    if not _NAME.fullmatch(name):
        raise BundleError(msg("bundle-name-invalid", name=repr(name)))
    return name


def list_names(models: Path) -> list[str]:
    """Return the names of all bundles in the folder, sorted, without verifying them."""
    return sorted(manifest.parent.name for manifest in models.glob(f"[!.]*/{MANIFEST}"))


def version(models: Path, name: str) -> str:
    """Return the SHA-256 digest of a bundle's manifest, which covers its files; "removed" if it is missing."""
    manifest = models / name / MANIFEST
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else "removed"


def _read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest and check its schema."""
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise BundleError(msg("bundle-missing", name=path.name)) from None
    except (ValueError, OSError) as error:
        raise BundleError(msg("manifest-damaged", name=path.name)) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema"), int):
        raise BundleError(msg("manifest-without-schema", name=path.name))
    if manifest["schema"] > SCHEMA:
        raise BundleError(
            msg(
                "schema-too-new",
                name=path.name,
                schema=manifest["schema"],
                supported=SCHEMA,
            )
        )
    _check_entries(path.name, manifest)
    return manifest


def _check_entries(name: str, manifest: dict[str, Any]) -> None:
    """Check the entries that inference depends on."""
    try:
        classes = manifest["classes"]
        complete = (
            isinstance(manifest["files"], dict)
            and isinstance(classes, list)
            and len(classes) > 1
            and all(code in {"0", "1", "2", "3", "4", "5", "6"} for code in classes)
            and float(manifest["temperature"]) > 0
            and min(InputSize.from_json(manifest["preprocessing"]["size"])) >= 32
            and isinstance(manifest["head"]["kind"], str)
            and isinstance(manifest["demonstration"], bool)
            and 0 <= float((manifest.get("prediction_set") or {"threshold": 1})["threshold"]) <= 1
            and manifest.get("exam_rule", DEFAULT_POOLING) in POOLING
            and ((found := _location(manifest)) is None or (found.channel >= 0 and 0 <= found.threshold <= 1))
        )
        version = manifest["preprocessing"]["version"]
    except (KeyError, TypeError, ValueError, AttributeError):
        complete, version = False, None
    if not complete:
        raise BundleError(msg("manifest-incomplete", name=name))
    if version != preprocess.VERSION:
        raise BundleError(
            msg(
                "preprocessing-changed",
                name=name,
                version=version,
                supported=preprocess.VERSION,
            )
        )


def read_evaluation(path: Path) -> dict[str, Any]:
    """Read the evaluation record of a bundle; raise BundleError if it is not a JSON object."""
    return _evaluation(path.name, (path / EVALUATION).read_bytes())


def _evaluation(name: str, content: bytes) -> dict[str, Any]:
    try:
        record = json.loads(content)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise BundleError(msg("bundle-file-damaged", name=name, file=EVALUATION))
    return record


def _verified(file: Path, expected: Any) -> bytes:
    """Compare a file's SHA-256 with the manifest's; return its content, or nothing of a graph, which is large."""
    model = file.parent.name
    if not file.is_file() or not isinstance(expected, dict):
        raise BundleError(msg("bundle-file-missing", model=model, file=file.name))
    try:
        with file.open("rb") as stream:
            content = stream.read() if file.name in _READ else b""
            digest = (
                hashlib.sha256(content) if content else hashlib.file_digest(stream, "sha256")
            ).hexdigest()
    except OSError as error:
        reason = str(error.strerror)
        raise BundleError(
            msg("bundle-file-unreadable", file=file.name, model=model, reason=reason)
        ) from error
    if digest not in (expected.get("sha256"), expected.get(_FORMER_DIGEST)):
        raise BundleError(msg("bundle-file-changed", file=file.name, model=model))
    return content


def _ood_detector(file: Path, content: bytes) -> OodDetector:
    try:
        return ood.read(content)
    except ValueError as error:
        name = file.parent.name
        raise BundleError(msg("bundle-file-damaged", name=name, file=file.name)) from error


def _location(manifest: dict[str, Any]) -> Location | None:
    """Read the entry of the location head, of those about the backbone, which bundles of earlier versions lack."""
    entry = manifest.get("backbone", {}).get("location")
    return None if entry is None else Location(int(entry["channel"]), float(entry["threshold"]))


def _entry(data: bytes) -> dict[str, Any]:
    """Return the manifest's entry for a file."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _to_json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
