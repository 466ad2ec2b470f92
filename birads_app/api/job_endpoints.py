"""Endpoints for uploads that are read after their answer, and for all jobs."""

import json
import uuid
from contextlib import suppress
from typing import Any

from flask import Response, current_app, g, jsonify, request, url_for

from birads_app.api.authentication import bp
from birads_app.api.exam_json import exam_json
from birads_app.api.multipart import write_files
from birads_app.intake import upload_queue, uploads
from birads_app.intake.ingest import check_count
from birads_app.intake.repetition import KeyReused, job_id_of_key
from birads_app.records import exams, jobs, reading_acts, upload_store
from birads_app.records.errors import NotFound
from birads_app.records.job_table import Job, JobKind, JobState
from birads_app.records.schema import User
from birads_app.services import job_queue
from birads_app.terms.messages import msg


@bp.get("/jobs/<job_id>")
def job(job_id: str) -> Response:
    """Return the state of an upload, and its exams once it is done; to its own account, or with the scope ``admin``."""
    found, grant = jobs.get(job_id), g.api_grant
    own = found.user_id == g.api_user.id and (grant.allows("read") or grant.allows("upload"))
    if not own and not grant.allows("admin"):
        raise NotFound(msg("job-missing"))
    return jsonify(job_json(found, own))


@bp.get("/jobs", endpoint="jobs")
def all_jobs() -> Response:
    """List the jobs of all kinds."""
    return jsonify(jobs=[_listed(one) for one in job_queue.listing()])


def receive(user: User, key: str | None) -> Job:
    """Store the files of the current request, to be read later.

    Parameters
    ----------
    key : with which the user may repeat the request; the stored job is then returned

    Raises
    ------
    BadRequest, IntakeRefused, TooBusy, TooManyUploads, KeyReused
        The body is not valid, has no file or too many; there is no room; the key was sent with other files.
    """
    store = upload_store.of_app()
    size = request.content_length or current_app.config["MAX_CONTENT_LENGTH"]
    with upload_queue.room(user, size), store.draft(key or "") as draft:
        write_files(request, draft)
        check_count(draft.files)
    entered: Job | None = None
    try:
        entered = jobs.enter(
            Job(
                id=job_id_of_key(user, key) if key else uuid.uuid4().hex,
                kind=JobKind.UPLOAD,
                user_id=user.id,
                file=draft.name,
                bytes=draft.bytes,
                digest=draft.digest(),
            )
        )
    finally:
        if entered is None or entered.file != draft.name:
            store.remove(draft.name)
    if entered.digest != draft.digest():
        raise KeyReused(msg("upload-key-reused"))
    uploads.announce(entered)
    return entered


def job_json(found: Job, own: bool = True) -> dict[str, Any]:
    """Return the schema ``Job`` of the description.

    Parameters
    ----------
    own : with exams and names of files, for the account that has sent them
    """
    answer = _listed(job_queue.of_upload(found))
    if own and found.state == JobState.DONE:
        answer["exams"] = []
        for exam_id in found.exam_ids:
            with suppress(NotFound):  # deleted meanwhile
                answer["exams"].append(exam_json(exams.get(exam_id), g.api_grant))
                reading_acts.viewed(g.api_user.name, exam_id)
    if own and found.state == JobState.FAILED:
        answer["problem"] = json.loads(upload_store.of_app().text(found.file))
    return answer


def _listed(entry: job_queue.QueueEntry) -> dict[str, Any]:
    upload = entry.kind == JobKind.UPLOAD
    return {
        "id": entry.id,
        "kind": entry.kind,
        "url": url_for("api.job", job_id=entry.id) if upload else None,
        "account": entry.account,
        "state": entry.state,
        "created_at": entry.created_at.isoformat(timespec="seconds"),
        "ended_at": entry.ended_at.isoformat(timespec="seconds") if entry.ended_at else None,
        "attempts": entry.attempts,
        "next_attempt_at": entry.due_at.isoformat(timespec="seconds") if entry.due_at else None,
        "reason": entry.reason,
        "exam_ids": list(entry.exam_ids),
    }
