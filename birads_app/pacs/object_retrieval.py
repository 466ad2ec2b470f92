"""Retrieval of one object by WADO-RS, as the bytes that the server sends.

The client library would parse each object, and write it again.
"""

from urllib.parse import quote

from requests import Session
from werkzeug.http import parse_options_header

from birads_app.pacs.sender import DicomWeb

# In the transfer syntax in which the server has it.
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def retrieve_object(session: Session, server: DicomWeb, study: str, series: str, instance: str) -> bytes:
    """Return an object as the bytes of a file.

    Raises
    ------
    requests.RequestException
        The server does not answer, or with an error.
    ValueError
        The response is not one object.
    """
    parts = ("studies", study, "series", series, "instances", instance)
    address = "/".join((server.url.rstrip("/"), *(quote(part, safe="") for part in parts)))
    answer = session.get(address, headers={"Accept": _ACCEPT}, timeout=server.timeout_s)
    answer.raise_for_status()
    return object_in(answer.headers.get("Content-Type", ""), answer.content)


def object_in(content_type: str, body: bytes) -> bytes:
    """Return the only part of a ``multipart/related`` message (PS3.18 8.6.1.2).

    Some servers send the object without a message around it; this is accepted, as is a message without its last
    delimiter.

    Raises ValueError if there is none, or more than one.
    """
    kind, options = parse_options_header(content_type)
    kind = kind.lower()
    if kind not in ("multipart/related", "application/dicom"):
        raise ValueError(f"The response is {kind or 'of no type'}.")
    if kind == "application/dicom" or not options.get("boundary"):
        return body
    delimiter = b"\r\n--" + options["boundary"].encode()
    first = 0 if body.startswith(delimiter[2:]) else body.index(delimiter)
    start = body.index(b"\r\n\r\n", first + len(delimiter) - 2) + 4
    end = body.find(delimiter, start)
    if end < 0:
        return body[start:]
    if body[end + len(delimiter) : end + len(delimiter) + 2] not in (b"--", b""):
        raise ValueError("The response has several parts.")
    return body[start:end]
