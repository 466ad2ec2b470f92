"""Fetch of several studies, which goes on after a failure."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flask import current_app

from birads_app.deid.pseudonyms import site_pseudonyms
from birads_app.pacs.dicomweb_client import FetchFailed, fetch_study
from birads_app.pacs.sender import DicomWeb
from birads_app.records import fetch_problems
from birads_app.records.spool import Spool

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """Result of a fetch.

    counts : number of new images, by the UID of each study that was received whole
    failures : reason, by the UID of each other study
    """

    counts: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def fetch_studies(
    server: DicomWeb, study_uids: Sequence[str], spool: Spool, report: Callable[[str], object]
) -> Fetched:
    """Fetch studies into the spool, each whole or not at all.

    A study that fails is reported with its UID, stored with its reason until it is fetched, and logged by its number.
    """
    fetched = Fetched()
    for number, study in enumerate(study_uids, 1):
        try:
            fetched.counts[study] = fetch_study(server, study, spool)
        except FetchFailed as failure:
            fetched.failures[study] = str(failure)
            fetch_problems.store(_stored_uid(study), failure.message)
            log.warning("Study %d of %d was not fetched: %s", number, len(study_uids), failure)
            report(f"Study {study} ({number} of {len(study_uids)}) is incomplete: {failure}")
        else:
            fetch_problems.clear(_stored_uid(study))
    return fetched


def _stored_uid(study: str) -> str:
    """Return the UID under which exams of a study are stored."""
    if not current_app.extensions["birads_settings"].deidentify:
        return study[:64]
    return site_pseudonyms().uid(study)
