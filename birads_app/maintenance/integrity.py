"""Check of an installation: every file against its checksum, every row against its files, every file against its rows.

It may run while the service does: what looks wrong in an exam is looked at again before it is reported.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flask import current_app
from sqlalchemy import select
from sqlalchemy.exc import DatabaseError

from birads_app.config import Settings
from birads_app.maintenance import derived_check
from birads_app.model import bundles, registry
from birads_app.records import (
    audit_chain,
    checksums,
    database,
    derived_files,
    exam_copies,
    exam_packages,
    exams,
    file_store,
    files,
    jobs,
    migrate,
    site_keys,
    spool,
    upload_store,
)
from birads_app.records.schema import Delivery, Exam, Image
from birads_app.terms.counts import counted
from birads_app.terms.errors import BiradsError

_AT_ONCE = 500
_REPORT_S = 5

Report = Callable[[str], None]


@dataclass(frozen=True)
class Findings:
    """Result of a check.

    problems : what is wrong, one line each, without anything about patients
    repaired : what was repaired
    unknown : number of originals without a checksum, as exams of earlier versions have none; those that are to be
        compressed soon are not counted
    """

    exams: int = 0
    files: int = 0
    unknown: int = 0
    problems: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Check:
    """A check under way; ``changes`` are the files that it has written or removed."""

    repair: bool
    add_checksums: bool
    report: Report
    problems: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    changes: list[Path] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"exams": 0, "files": 0, "unknown": 0})


def check(report: Report, *, repair: bool = False, add_checksums: bool = False) -> Findings:
    """Check the whole installation.

    Parameters
    ----------
    repair : remove damaged derived files, which are made again when they are needed, and leftovers without a row
    add_checksums : write the checksum of every original that has none
    """
    run = _Check(repair, add_checksums, report)
    try:
        run.problems.extend(_database())
        _exams(run)
        _orphans(run)
        run.problems.extend(_deliveries())
        run.problems.extend(_encrypted())
        run.problems.extend(_audit_log())
    except DatabaseError as error:
        run.problems.append(f"database: it cannot be read ({error.orig})")
    run.problems.extend(_waiting())
    run.problems.extend(_models())
    return Findings(**run.counts, problems=tuple(run.problems), repaired=tuple(run.repaired))


def _database() -> Iterator[str]:
    """Check the structure, references between tables, and the version."""
    for line in database.of_app().damage():
        yield f"database: {line}"
    if not migrate.is_current():
        yield "database: it is not of this version; run `flask db upgrade`"


def _exams(run: _Check) -> None:
    """Check all exams, in batches by id."""
    last, reported = "", time.monotonic()
    page = select(Exam.id).order_by(Exam.id).limit(_AT_ONCE)
    while ids := database.session().scalars(page.where(Exam.id > last)).all():
        for exam_id in ids:
            images = _images(exam_id)
            problems = _exam(run, exam_id, images)
            if problems and _images(exam_id) == images:  # not deleted meanwhile
                run.problems.extend(f"exam {exam_id}{line}" for line in problems)
            run.counts["exams"] += 1
            if time.monotonic() - reported > _REPORT_S:
                reported = time.monotonic()
                run.report(f"Exams: {run.counts['exams']}, files: {run.counts['files']}")
        last = ids[-1]


def _images(exam_id: str) -> dict[str, str]:
    """Return the formats of an exam's images by their ids."""
    query = select(Image.id, Image.source).where(Image.exam_id == exam_id)
    return {row.id: row.source for row in database.session().execute(query)}


def _exam(run: _Check, exam_id: str, images: Mapping[str, str]) -> list[str]:
    """Return what is wrong with an exam."""
    problems: list[str] = []
    store, changes = file_store.of_app(), len(run.changes)
    deriving = derived_files.marker(files.root(), exam_id).exists()
    with exam_copies.opened(store, exam_id, images) as folder:
        for image_id, source in images.items():
            found = _image(run, folder / image_id, source, deriving)
            problems += [f", image {image_id}: {line}" for line in found]
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.name not in images:
                problems += _leftover(run, path, f": {path.name} belongs to no image")
        if store.bucket is not None and len(run.changes) > changes:
            exam_copies.put(store, exam_id, images, folder)
    return problems


def _image(run: _Check, folder: Path, source: str, deriving: bool) -> Iterator[str]:
    """Check the files of an image; while they are made, its original may have no checksum yet."""
    original = folder / f"original.{files.suffix(source)}"
    accepted = checksums.read(folder)
    try:
        digest = checksums.of_file(original)
    except FileNotFoundError:
        yield "the original is missing"
        return
    except OSError as error:
        yield f"the original cannot be read ({error.strerror})"
        return
    run.counts["files"] += 1
    # It may have been compressed meanwhile.
    if accepted and digest not in accepted | checksums.read(folder):
        yield "the original differs from its checksum"
    elif not accepted and not deriving:
        if run.add_checksums:
            checksums.write(original, {digest})
            run.changes.append(original)
        else:
            run.counts["unknown"] += 1
    for path in sorted(folder.iterdir()):
        if path in (original, folder / checksums.NAME):
            continue
        run.counts["files"] += 1
        problem = derived_check.problem(path)
        if problem and path.exists():
            yield from _leftover(run, path, f"{path.name} {problem}", again=True)


def _leftover(run: _Check, path: Path, line: str, *, again: bool = False) -> list[str]:
    """Remove what is of no use, if asked to; return the problem that remains."""
    if not run.repair:
        return [line]
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    name = "/".join(path.parts[-3:] if again else path.parts[-2:])
    run.changes.append(path)
    run.repaired.append(f"removed {name}" + (": it is made again" if again else ""))
    return []


def _orphans(run: _Check) -> None:
    """Find folders without an exam; what is being stored or deleted is left to the next start of the service."""
    store = file_store.of_app()
    bucket, under_way = store.bucket, set[str]()
    if bucket is not None:
        swept = exam_packages.sweep(bucket, _is_stored, 0) if run.repair else 0
        if swept:
            run.repaired.append(f"removed {counted(swept, 'package')} of interrupted uploads")
        under_way = {package.exam_id for package in exam_packages.announced(bucket)}
    for exam_id in sorted(exam_copies.exam_ids(store)):
        if exams.exists(exam_id) or files.is_pending(exam_id) or exam_id in under_way:
            continue
        if exam_id not in exam_copies.exam_ids(store) or exams.exists(exam_id):
            continue  # it was stored or removed meanwhile
        if run.repair:
            exam_copies.remove(store, exam_id)
            run.repaired.append(f"removed {exam_id}")
        else:
            run.problems.append(f"images/{exam_id}: there is no such exam")


def _is_stored(package: exam_packages.Package) -> bool:
    return exams.has_image(package.exam_id, package.image_id)


def _deliveries() -> Iterator[str]:
    """Read every delivery of the outbox."""
    try:
        with database.streaming() as current:
            for delivery in current.scalars(select(Delivery).execution_options(yield_per=_AT_ONCE)):
                if delivery.state not in ("waiting", "sent", "stopped", "dropped"):
                    yield f"outbox: delivery {delivery.id} is in no known state"
    except (ValueError, TypeError, KeyError) as error:
        yield f"outbox: a delivery cannot be read ({type(error).__name__})"


def _encrypted() -> Iterator[str]:
    """Decrypt every identity, secret and key in the database."""
    for table, row in site_keys.unreadable():
        yield f"{table} {row}: it cannot be decrypted with this site key"


def _audit_log() -> Iterator[str]:
    """Check the hash chain of the audit log."""
    try:
        audit_chain.verify()
    except BiradsError as error:
        yield f"audit log: {error}"


def _waiting() -> Iterator[str]:
    """Decrypt every received object and every waiting upload."""
    for name in (*spool.of_app().unreadable(), *upload_store.of_app().unreadable()):
        yield f"{name}: it cannot be read with this site key"
    needed = jobs.files()
    for name in sorted(needed - set(upload_store.of_app().names())):
        if name in jobs.files():  # not done meanwhile
            yield f"uploads/{name}: it is missing"


def _models() -> Iterator[str]:
    """Compare every model's files with its manifest."""
    settings: Settings = current_app.extensions["birads_settings"]
    names = bundles.list_names(settings.models)
    for name in names:
        try:
            bundles.load(settings.models / name)
        except BiradsError as error:
            yield f"model {name}: {error}"
    try:
        for name in registry.promoted(settings.models)[-1:]:
            if name not in names:
                yield f"model {name}: it should serve, but is missing"
    except BiradsError as error:
        yield f"models: {error}"
