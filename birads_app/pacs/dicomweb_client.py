"""Retrieval of studies from a DICOMweb server, by QIDO-RS and WADO-RS, into the spool."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from dicomweb_client import DICOMwebClient
from requests import RequestException

from birads_app.pacs.duplicates import is_stored
from birads_app.pacs.sender import DicomWeb, web_client
from birads_app.pacs.storage_scp import STORAGE_CLASSES
from birads_app.records.spool import Spool
from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg

_ANY_SYNTAX = (("application/dicom", "*"),)  # as stored on the server
_STUDY, _SERIES, _INSTANCE, _CLASS = "0020000D", "0020000E", "00080018", "00080016"

Answer = dict[str, dict[str, Any]]  # DICOM JSON (PS3.18 F.2)


class FetchFailed(BiradsError):
    """A server does not return the requested data."""


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


def fetch_study(server: DicomWeb, study: str, spool: Spool) -> int:
    """Retrieve those images of a study that are not stored yet into the spool; return their number.

    Raises
    ------
    FetchFailed
        Objects retrieved before stay in the spool; a repeated fetch replaces them.
    """
    client, count = web_client(server), 0
    for series, instance in list(_images(client, server, study)):
        if not is_stored(instance):
            spool.add(study, instance, _retrieve(client, server, (study, series, instance)))
            count += 1
    return count


def _images(client: DICOMwebClient, server: DicomWeb, study: str) -> Iterator[tuple[str, str]]:
    """Yield series and instance UIDs of all objects in the study that may be mammograms."""
    with _fetch_errors(server):
        instances = _pages(partial(client.search_for_instances, study), _INSTANCE)
        for instance, one in instances.items():
            if _value(one, _CLASS) in STORAGE_CLASSES:
                yield _value(one, _SERIES), instance


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


def _retrieve(client: DICOMwebClient, server: DicomWeb, uids: tuple[str, str, str]) -> bytes:
    """Retrieve an object as the bytes of a file."""
    with _fetch_errors(server):
        got = client.retrieve_instance(*uids, media_types=_ANY_SYNTAX)
        stream = io.BytesIO()
        got.save_as(stream, enforce_file_format=True)
        return stream.getvalue()


@contextmanager
def _fetch_errors(server: DicomWeb) -> Iterator[None]:
    """Convert errors of library and network into FetchFailed, without the UIDs in their addresses."""
    try:
        yield
    except RequestException as error:
        if error.response is None:
            message = msg("server-unreachable", server=str(server))
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
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, SyntaxError):
        raise FetchFailed(msg("server-not-dicomweb", server=str(server))) from None


def _value(found: Answer, tag: str) -> str:
    """Return an element's first value."""
    return str(found[tag]["Value"][0])
