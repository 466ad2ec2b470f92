"""Requests for the prior exams of a received exam, from the DICOMweb server or by C-FIND and C-MOVE."""

import logging
import threading
from datetime import timedelta

from birads_app.config import Settings
from birads_app.deid.pseudonyms import site_pseudonyms
from birads_app.logs import where
from birads_app.pacs import dicomweb_client, query_move
from birads_app.pacs.dicomweb_client import FetchFailed
from birads_app.pacs.found_studies import MODALITY, WILDCARDS, FoundStudy, PriorQuery, latest_priors, query_of
from birads_app.pacs.results import dicom_web_of, node_of
from birads_app.pacs.sender import DicomNode, DicomWeb, SendFailed
from birads_app.records import exams, identities, prior_searches
from birads_app.records.errors import NotFound
from birads_app.records.identities import Identity
from birads_app.records.prior_tables import PriorSearch
from birads_app.records.schema import now
from birads_app.records.spool import Spool
from birads_app.terms.messages import Message, msg

log = logging.getLogger(__name__)

Archive = DicomWeb | DicomNode


def archive_of(settings: Settings) -> Archive | None:
    """Return the server that is asked for priors: the DICOMweb server if one is set, else the C-STORE destination."""
    return dicom_web_of(settings) or node_of(settings)


def request_priors(spool: Spool, settings: Settings, stop: threading.Event | None = None) -> None:
    """Ask the PACS for the priors of exams that came, if that is set, until ``stop`` is set.

    A failure is stored with its reason and repeated later; it never concerns the exam itself.
    """
    archive = archive_of(settings) if settings.pacs_priors else None
    if archive is None:
        return
    prior_searches.enqueue()
    wait = timedelta(seconds=settings.pacs_retry_s)
    for search in prior_searches.due():
        if stop is not None and stop.is_set():
            return
        exam_id = search.exam_id
        try:
            _search(search, archive, spool, settings, stop)
        except (SendFailed, FetchFailed) as failure:
            if stop is not None and stop.is_set():
                return
            log.warning("Priors of exam %s were not retrieved: %s", exam_id, failure)
            prior_searches.mark_failed(search, failure.message, wait if failure.retry else None)
        except NotFound:
            prior_searches.mark_failed(search, msg("exam-missing"), None)
        except Exception as error:  # one search must not keep the others waiting
            log.error("Priors of exam %s were not retrieved:\n%s", exam_id, where(error))
            prior_searches.mark_failed(search, msg("priors-error"), wait)


def _search(
    search: PriorSearch, archive: Archive, spool: Spool, settings: Settings, stop: threading.Event | None
) -> None:
    """Find and retrieve the priors of one exam."""
    exam = exams.get(search.exam_id)
    identity = identities.of(exam) or Identity()
    if reason := _obstacle(identity):
        log.info("Exam %s: %s", exam.id, reason)
        prior_searches.mark_done(search, 0, reason)
        return
    query = query_of(identity, now().date(), settings.pacs_prior_years)
    chosen = latest_priors(_find(archive, query), identity, query, settings.pacs_priors)
    pseudonyms = site_pseudonyms()
    stored = {uid: pseudonyms.uid(uid) if settings.deidentify else uid[:64] for uid in chosen}
    lacking = [uid for uid in chosen if not exams.knows_study(uid, pseudonyms.uid(uid))]
    prior_searches.request(exam.id, [stored[uid] for uid in chosen], len(lacking))
    failures: list[SendFailed | FetchFailed] = []
    for uid in lacking:
        if stop is not None and stop.is_set():
            return
        try:
            _retrieve(archive, uid, spool, stop)
        except (SendFailed, FetchFailed) as failure:
            failures.append(failure)
    if failures:
        reason = msg(
            "priors-incomplete", failed=len(failures), count=len(lacking), reason=failures[0].message
        )
        raise SendFailed(reason, any(one.retry for one in failures))
    prior_searches.mark_done(search, len(lacking))
    log.info("Exam %s: requested %d prior studies, of %d", exam.id, len(lacking), len(chosen))


def _obstacle(identity: Identity) -> Message | None:
    """Return why a patient cannot be asked about."""
    if identity.versions:
        return msg("priors-patient-not-certain")
    if not identity.patient_id:
        return msg("priors-no-patient-id")
    return msg("priors-id-with-wildcard") if WILDCARDS & set(identity.patient_id) else None


def _find(archive: Archive, query: PriorQuery) -> list[FoundStudy]:
    if isinstance(archive, DicomNode):
        return query_move.find_studies(archive, query)
    return dicomweb_client.find_patient_studies(archive, query)


def _retrieve(archive: Archive, study: str, spool: Spool, stop: threading.Event | None) -> None:
    if isinstance(archive, DicomNode):
        query_move.move_study(archive, study, MODALITY, stop)
    else:
        dicomweb_client.fetch_study(archive, study, spool)
