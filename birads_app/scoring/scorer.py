"""Prediction for the images of a partition, in a worker.

A worker opens the model once. It decodes no file itself: a process of its own does, within limits of memory and time
(:mod:`birads_app.compute`), so that a damaged or hostile file costs a line in the list of failures.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path, PurePosixPath

from birads_app.cluster.connection import WorkerDiffers, difference
from birads_app.compute.pool import ComputeFailed, ComputePool, NotStarted
from birads_app.deid.identity import read_identity, read_instance
from birads_app.files.shared_bytes import SharedBytes
from birads_app.imaging import quality
from birads_app.imaging.decode import decode, decode_dicom
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.archives import unpacked
from birads_app.intake.companions import companion_of
from birads_app.model import bundles, preprocess
from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.predictor import Predictor
from birads_app.model.preprocess import InputSize, ModelInput
from birads_app.pacs.dicomweb_client import FetchFailed, retrieve_study
from birads_app.pacs.sender import DicomWeb
from birads_app.records.identities import Identity
from birads_app.scoring.partitions import Partition
from birads_app.terms.errors import BiradsError, InputError, UnreadableImage
from birads_app.terms.messages import Message, msg
from birads_app.terms.views import ViewRole
from birads_app.version import __version__

# Modules whose functions run in the process that reads files.
_READS_FILES = ("birads_app.intake.archives", "birads_app.scoring.scorer")
_IMAGES_OF_ARCHIVE = 10_000
# Errors that a decoder does not foresee.
_DAMAGED = UnreadableImage(msg("file-damaged"))
# Codes of a server that answers nothing: the work stops, and the same command continues it.
_SERVER_DOWN = ("server-unreachable", "server-http-error", "server-certificates-unusable")


@dataclass(frozen=True)
class ScoringTask:
    """Instructions for a worker, the same for all partitions of an archive.

    model : folder of the bundle, the same on all machines
    facts : of this machine, from :func:`worker_facts`
    folder : that paths are relative to; None for studies
    server : from which studies are fetched; None for files
    """

    model: Path
    engine: str
    precision: str
    tomosynthesis: Tomosynthesis
    facts: dict[str, str] = field(hash=False)
    folder: Path | None = None
    server: DicomWeb | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ScoredImage:
    """An image with its prediction.

    name : path of the file, with the name inside an archive; UIDs of study and instance for a fetched object
    identity : what pseudonyms follow from; None for pictures
    sop_uid : from the header; empty for pictures
    """

    name: str = field(repr=False)
    prediction: ImagePrediction
    laterality: str | None
    view: str | None
    role: ViewRole
    identity: Identity | None = field(repr=False)
    sop_uid: str = field(repr=False)


@dataclass(frozen=True)
class FailedFile:
    """A file that cannot be used.

    code : of the message that gives the reason, which may contain the file's name
    """

    name: str = field(repr=False)
    code: str
    reason: str = field(repr=False)


@dataclass(frozen=True)
class ScoredPartition:
    """The images of a partition, in order.

    skipped : number of files beside them, such as indexes and reports
    """

    images: tuple[ScoredImage, ...]
    failures: tuple[FailedFile, ...]
    skipped: int


@dataclass(frozen=True)
class DecodedImage:
    """An image as the process that reads files returns it."""

    seen: ModelInput = field(repr=False)
    warnings: tuple[Message, ...]
    laterality: str | None
    view: str | None
    role: ViewRole
    identity: Identity | None
    sop_uid: str


def worker_facts(model: Path, folder: Path | None) -> dict[str, str]:
    """Return what has to be equal on all machines, by a name for a message.

    Raises
    ------
    BundleError
        The model is damaged.
    """
    return {
        "version": __version__,
        "OpenVINO": metadata.version("openvino"),
        "model": bundles.load(model).digest[:16] if model.is_dir() else f"none in {model}",
        "archive": "none" if folder is not None and not folder.is_dir() else "readable",
    }


def score(task: ScoringTask, partition: Partition) -> ScoredPartition:
    """Predict the images of a partition; runs in a worker.

    Raises
    ------
    WorkerDiffers
        This worker, which may have joined later, has another version or model.
    FetchFailed
        The server did not return a study.
    NotStarted
        The machine cannot start the process that reads files.
    """
    facts = tuple(task.facts.items())
    predictor, pool = _predictor(task.model, task.engine, task.precision, facts, task.folder), _pool()
    images: list[ScoredImage] = []
    failures: list[FailedFile] = []
    skipped = 0
    for name, file in _files(task, partition, pool, failures):
        try:
            decoded = pool.run(read_image, file, task.tomosynthesis, predictor.bundle.size)
        except InputError as error:
            failures.append(_failed(name, error))
            continue
        except NotStarted:
            raise
        except ComputeFailed:
            failures.append(_failed(name, _DAMAGED))
            continue
        if decoded is None:
            skipped += 1
            continue
        images.append(
            ScoredImage(
                name,
                predictor.examine_input(decoded.seen, decoded.warnings),
                decoded.laterality,
                decoded.view,
                decoded.role,
                decoded.identity,
                decoded.sop_uid,
            )
        )
    return ScoredPartition(tuple(images), tuple(failures), skipped)


def read_image(file: SourceFile, tomosynthesis: Tomosynthesis, size: InputSize) -> DecodedImage | None:
    """Decode an image and prepare it for the model; None for a file that only comes with images.

    Raises
    ------
    InputError
        The file cannot be used.
    """
    if companion_of(file):
        return None
    parsed = file.dicom if file.format == "DICOM" else None
    mammogram = decode_dicom(parsed, file.name, tomosynthesis) if parsed else decode(file.data, file.name)
    warnings = quality.check(mammogram)
    return DecodedImage(
        preprocess.prepare(mammogram, size),
        mammogram.notes + warnings,
        mammogram.laterality,
        mammogram.view,
        mammogram.role,
        _needed(read_identity(parsed.dataset)) if parsed else None,
        read_instance(parsed.dataset).sop_uid if parsed else "",
    )


def _files(
    task: ScoringTask, partition: Partition, pool: ComputePool, failures: list[FailedFile]
) -> Iterator[tuple[str, SourceFile]]:
    """Yield each file of a partition with its name in the archive; those in ZIP, tar and gzip files as well."""
    for item in partition.items:
        if task.server is not None:
            yield from _fetched(task.server, item, failures)
            continue
        assert task.folder is not None
        try:
            file = SourceFile(PurePosixPath(item).name, _content(task.folder / item))
            for found in unpacked([file], _IMAGES_OF_ARCHIVE, compute=pool):
                yield item if found is file else f"{item}/{found.name}", found
        except InputError as error:  # of an archive
            failures.append(_failed(item, error))
        except NotStarted:
            raise
        except ComputeFailed:
            failures.append(_failed(item, _DAMAGED))
        except (OSError, ValueError) as error:  # a null character in a path of a table
            reason = getattr(error, "strerror", None) or "its name is not valid"
            failures.append(FailedFile(item, "file-unreadable", f"The file cannot be read: {reason}."))


def _fetched(server: DicomWeb, study: str, failures: list[FailedFile]) -> Iterator[tuple[str, SourceFile]]:
    """Yield the images of a study; raise FetchFailed if the server itself does not answer."""
    try:
        for instance, data in retrieve_study(server, study):
            yield f"{study}/{instance}", SourceFile(instance, SharedBytes.of([data]))
    except FetchFailed as error:
        message = error.message
        reason = message.values.get("reason") if isinstance(message, Message) else None
        if not isinstance(reason, Message) or reason.code in _SERVER_DOWN:  # not about one object
            raise
        failures.append(_failed(study, error))


def _content(path: Path) -> SharedBytes:
    """Return the bytes of a file, which only the process that reads it takes into memory."""
    return SharedBytes(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))


def _needed(identity: Identity) -> Identity:
    """Return what pseudonyms follow from, and nothing else."""
    names = ("patient_id", "issuer", "patient_name", "birth_date", "study_uid", "study_date")
    return Identity(**{name: getattr(identity, name) for name in names})


def _failed(name: str, error: BiradsError) -> FailedFile:
    code = error.message.code if isinstance(error.message, Message) else type(error).__name__
    return FailedFile(name, code, str(error))


@lru_cache(maxsize=1)
def _predictor(
    model: Path, engine: str, precision: str, expected: tuple[tuple[str, str], ...], folder: Path | None
) -> Predictor:
    """Open the model once in a process; raises WorkerDiffers."""
    if differs := difference(dict(expected), worker_facts(model, folder)):
        raise WorkerDiffers(f"A worker {differs}.")
    return Predictor.load(bundles.load(model), engine, precision, threads=1)


@cache
def _pool() -> ComputePool:
    """Return the pool of the one process that reads files for this one."""
    return ComputePool(1, _READS_FILES)
