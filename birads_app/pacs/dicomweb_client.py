"""Retrieval of studies from a DICOMweb server, by QIDO-RS and WADO-RS, into the spool."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from dicomweb_client import DICOMwebClient
from requests import Session
from requests.exceptions import ContentDecodingError, InvalidJSONError, RequestException

from birads_app.deid.pseudonyms import site_pseudonyms
from birads_app.imaging.dicom import object_outline, parser
from birads_app.intake.companions import is_own
from birads_app.pacs.found_studies import FoundStudy, PriorQuery
from birads_app.pacs.object_retrieval import retrieve_object
from birads_app.pacs.sender import DicomWeb, web_client, web_session
from birads_app.pacs.storage_scp import STORAGE_CLASSES
from birads_app.records import exams
from birads_app.records.spool import Spool
from birads_app.terms.errors import BiradsError, InputError
from birads_app.terms.messages import msg

_ISSUER, _BIRTH_DATE = "00100021", "00100030"
_STUDY, _SERIES, _INSTANCE, _CLASS = "0020000D", "0020000E", "00080018", "00080016"

Answer = dict[str, dict[str, Any]]  # DICOM JSON (PS3.18 F.2)


class FetchFailed(BiradsError):
    """A server does not return the requested data; the same attempt may succeed later."""

    retry = True


def find_studies(server: DicomWeb, first: str, last: str, modality: str) -> list[str]:
    """Find the UIDs of studies within a range of days.

    Parameters
    ----------
    first, last : (0008,0020) *Study Date*, YYYYMMDD, inclusive
    modality : that the study contains, such as MG

    Raises
    ------
    FetchFailed
    """
    wanted = {"StudyDate": f"{first}-{last}", "ModalitiesInStudy": modality}
    with _fetch_errors(server):
        search = partial(web_client(server).search_for_studies, search_filters=wanted)
        return list(_pages(search, _STUDY))


def find_patient_studies(server: DicomWeb, query: PriorQuery) -> list[FoundStudy]:
    """Find a patient's studies; what the server returns is not checked. Raises FetchFailed."""
    wanted = {
        "PatientID": query.patient_id,
        "StudyDate": f"{query.first}-{query.last}",
        "ModalitiesInStudy": query.modality,
    }
    with _fetch_errors(server):
        search = partial(
            web_client(server).search_for_studies, search_filters=wanted, fields=[_ISSUER, _BIRTH_DATE]
        )
        return [
            FoundStudy(
                uid=uid,
                date=_first(one, "00080020"),
                time=_first(one, "00080030"),
                patient_id=_first(one, "00100020"),
                issuer=_first(one, _ISSUER),
                birth_date=_first(one, _BIRTH_DATE),
                modalities=tuple(map(str, one.get("00080061", {}).get("Value", ()))),
            )
            for uid, one in _pages(search, _STUDY).items()
        ]


def fetch_study(server: DicomWeb, study: str, spool: Spool) -> int:
    """Retrieve those images of a study that are not stored yet into the spool, all or none; return their number.

    The product's own results in the study are left out.

    Raises
    ------
    FetchFailed
        It says which object was not received, and why.
    """
    client = web_client(server)
    listed = _instances(client, server, study)
    if not listed:
        raise FetchFailed(msg("server-lists-nothing", server=str(server)))
    pseudonyms = site_pseudonyms()
    new = [
        (_value(one, _SERIES), instance)
        for instance, one in listed.items()
        if _value(one, _CLASS) in STORAGE_CLASSES
        and not exams.holds_image(instance, pseudonyms.uid(instance))
    ]
    with web_session(server) as session:
        return spool.add_all(study, _retrieve_all(session, server, study, new))


def retrieve_study(server: DicomWeb, study: str) -> Iterator[tuple[str, bytes]]:
    """Retrieve the images of a study, whether they are stored or not; yield their instance UIDs and bytes.

    Raises
    ------
    FetchFailed
        As :func:`fetch_study`.
    """
    listed = _instances(web_client(server), server, study)
    images = [
        (_value(one, _SERIES), instance)
        for instance, one in sorted(listed.items())
        if _value(one, _CLASS) in STORAGE_CLASSES
    ]
    with web_session(server) as session:
        yield from _retrieve_all(session, server, study, images)


def _retrieve_all(
    session: Session, server: DicomWeb, study: str, listed: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, bytes]]:
    """Yield the instance UIDs and bytes of listed objects, except the product's own results.

    Raises FetchFailed for the first object that is not received.
    """
    for number, (series, instance) in enumerate(listed, 1):
        try:
            data = _retrieve(session, server, (study, series, instance))
        except FetchFailed as failure:
            reason = msg("fetch-incomplete", number=number, count=len(listed), reason=failure.message)
            raise FetchFailed(reason) from None
        if data is not None:
            yield instance, data


def _instances(client: DICOMwebClient, server: DicomWeb, study: str) -> dict[str, Answer]:
    """Return what the server lists about each object of the study, by instance UID."""
    with _fetch_errors(server):
        found = _pages(partial(client.search_for_instances, study), _INSTANCE)
        for one in found.values():  # both are required
            _value(one, _CLASS), _value(one, _SERIES)
        return found


def _pages(search: Callable[..., list[Answer]], key: str) -> dict[str, Answer]:
    """Collect all pages of a search, by the value of one element.

    A server that returns the same page again does not support offsets and has returned everything.
    """
    answers: dict[str, Answer] = {}
    while True:
        page = {_value(one, key): one for one in search(offset=len(answers))}
        if not page.keys() - answers.keys():
            return answers
        answers |= page


def _retrieve(session: Session, server: DicomWeb, uids: tuple[str, str, str]) -> bytes | None:
    """Retrieve an object as the bytes of a file; return None if it is a result of this product.

    Raises FetchFailed, also if it is not the one that was asked for, or is cut off.
    """
    with _fetch_errors(server, listed=True):
        data = retrieve_object(session, server, *uids)
    if not parser.is_dicom(data):
        raise FetchFailed(msg("server-not-dicomweb", server=str(server)))
    try:
        beginning = object_outline.read_beginning(data)
        cut_off = object_outline.is_cut_off(data)
    except InputError:
        raise FetchFailed(msg("server-object-cut-off", server=str(server))) from None
    if object_outline.uids(beginning) != (uids[0], uids[2]):
        raise FetchFailed(msg("server-other-object", server=str(server)))
    if cut_off:
        raise FetchFailed(msg("server-object-cut-off", server=str(server)))
    return None if is_own(beginning) else data


@contextmanager
def _fetch_errors(server: DicomWeb, listed: bool = False) -> Iterator[None]:
    """Convert errors of library and network into FetchFailed, without the UIDs in their addresses.

    ``listed`` is True for an object that the server itself has listed.
    """
    try:
        yield
    except (InvalidJSONError, ContentDecodingError):
        raise FetchFailed(msg("server-not-dicomweb", server=str(server))) from None
    except RequestException as error:
        if error.response is None:
            message = msg("server-unreachable", server=str(server))
        elif listed and error.response.status_code in (404, 410):
            message = msg("server-object-missing", server=str(server), status=error.response.status_code)
        elif error.response.status_code >= 500 or error.response.status_code == 429:
            message = msg("server-failing", server=str(server), status=error.response.status_code)
        else:
            message = msg(
                "server-http-error",
                server=str(server),
                status=error.response.status_code,
            )
        raise FetchFailed(message) from None
    except OSError as error:
        raise FetchFailed(
            msg(
                "server-certificates-unusable",
                server=str(server),
                reason=str(error.strerror),
            )
        ) from None
    except Exception:  # any error of the libraries caused by an answer that is not DICOMweb
        raise FetchFailed(msg("server-not-dicomweb", server=str(server))) from None


def _first(found: Answer, tag: str) -> str:
    """Return an element's first value; empty if there is none."""
    values = found.get(tag, {}).get("Value") or ("",)
    return str(values[0] or "").strip()


def _value(found: Answer, tag: str) -> str:
    """Return an element's first value."""
    return str(found[tag]["Value"][0])
