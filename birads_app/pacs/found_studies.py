"""Choice of a patient's prior studies among those that a PACS finds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from birads_app.imaging.dicom.dates import digits, parse_date
from birads_app.records.identities import Identity

MODALITY = "MG"
# Characters with a meaning in queries (PS3.4 C.2.2.2, PS3.5 6.2): an ID with one of them finds other patients.
WILDCARDS = frozenset("*?\\")


@dataclass(frozen=True)
class PriorQuery:
    """Query for the mammography studies of a patient; days as YYYYMMDD, inclusive."""

    patient_id: str
    first: str
    last: str
    modality: str = MODALITY


@dataclass(frozen=True)
class FoundStudy:
    """Study as a PACS describes it; empty where it does not say."""

    uid: str
    date: str = ""
    time: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    modalities: tuple[str, ...] = ()


def query_of(identity: Identity, today: date, years: int) -> PriorQuery:
    """Return the query for the priors of an exam, whose study counts as today's if its date is not stated."""
    last = parse_date(identity.study_date) or today
    try:
        first = last.replace(year=last.year - years)
    except ValueError:  # 29 February
        first = last.replace(year=last.year - years, day=28)
    return PriorQuery(identity.patient_id, f"{first:%Y%m%d}", f"{last:%Y%m%d}")


def latest_priors(found: Iterable[FoundStudy], identity: Identity, query: PriorQuery, most: int) -> list[str]:
    """Return the UIDs of the latest studies that are priors of an exam, latest first.

    The patient ID has to be the same. Issuer and birth date must not differ where both sides state them, and the name
    is never compared. A study of the same day is none: it may be on its way here, to be read.
    """
    priors = {
        (day, one.time, one.uid)
        for one in found
        if one.uid not in ("", identity.study_uid)
        and one.patient_id == query.patient_id
        and _agree(one.issuer, identity.issuer)
        and _agree(digits(one.birth_date), digits(identity.birth_date))
        and (not one.modalities or query.modality in one.modalities)
        and (day := parse_date(one.date)) is not None
        and query.first <= f"{day:%Y%m%d}" < query.last
    }
    return [uid for _, _, uid in sorted(priors, reverse=True)[:most]]


def _agree(one: str, other: str) -> bool:
    return not one or not other or one == other
