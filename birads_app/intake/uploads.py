"""Uploads that a client waits for: read here, or by a process of ``flask compute`` (BIRADS_COMPUTE_TIER)."""

import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, islice
from typing import IO

from flask import current_app

from birads_app.compute.turns import Urgency
from birads_app.imaging.source_file import SourceFile
from birads_app.intake import upload_answer
from birads_app.intake.admission import TooBusy
from birads_app.intake.ingest import check_count, ingest_studies
from birads_app.records import job_signals, jobs, upload_store
from birads_app.records.errors import SharedStateUnavailable
from birads_app.records.job_table import Job, JobKind, JobState
from birads_app.records.schema import Exam, User

_PATIENCE_S = 280.0  # shorter than a proxy's and gunicorn's
_RETRY_S = 30
_PAUSE_S = 1
_CHUNK = 1 << 20


def ingest(
    sent: Iterable[SourceFile], user: User, *, once: bool = False, key: str | None = None
) -> list[Exam]:
    """Have the files of an upload read and stored; parameters, result and errors as :func:`ingest_studies`.

    Raises
    ------
    SharedStateUnavailable, TooBusy
        Only with a compute tier: Redis does not answer, or no process took the upload in time. Nothing was stored.
    """
    if current_app.extensions["birads_settings"].compute_tier == "local":
        return ingest_studies(sent, user, once=once, key=key)
    arriving = iter(sent)
    first = list(islice(arriving, 1))
    check_count(len(first))
    store = upload_store.of_app()
    with store.draft(key or "", once=once) as draft:
        for file in chain(first, arriving):
            draft.begin(file.name, file.set_laterality, file.set_view)
            _copy(file.stream(), draft)
    job = Job(
        id=uuid.uuid4().hex,
        kind=JobKind.UPLOAD,
        urgency=Urgency.REQUEST,
        user_id=user.id,
        file=draft.name,
        bytes=draft.bytes,
        digest=draft.digest(),
    )
    try:
        job_id = jobs.enter(job).id
    except BaseException:
        store.remove(draft.name)
        raise
    try:
        job_signals.put(job_id, Urgency.REQUEST)
    except SharedStateUnavailable:
        if jobs.cancel(job_id):
            store.remove(draft.name)
            raise
    return upload_answer.read(_answer(job_id))


def _answer(job_id: str) -> str:
    """Wait for the end of a job and close it; return its answer. Raises TooBusy."""
    store = upload_store.of_app()
    deadline = time.monotonic() + _PATIENCE_S
    while (job := jobs.get(job_id)).state not in (JobState.DONE, JobState.FAILED):
        if time.monotonic() > deadline:
            if jobs.cancel(job_id):
                store.remove(job.file)
            raise TooBusy(_RETRY_S)
        try:
            job_signals.await_end(job_id)
        except SharedStateUnavailable:  # who works on it goes on
            time.sleep(_PAUSE_S)
    answer = store.text(job.file)
    jobs.close(job_id)
    store.remove(job.file)
    with suppress(SharedStateUnavailable):  # they end by themselves
        job_signals.forget(job_id, job.urgency)
    return answer


def announce(job: Job) -> None:
    """Let a compute process read an upload for which nobody waits; nothing without a compute tier."""
    if current_app.extensions["birads_settings"].compute_tier == "queue":
        with suppress(SharedStateUnavailable):  # compute processes look for such rows themselves
            job_signals.put(job.id, job.urgency)


def _copy(stream: IO[bytes], draft: upload_store.UploadDraft) -> None:
    while piece := stream.read(_CHUNK):
        draft.add(piece)
