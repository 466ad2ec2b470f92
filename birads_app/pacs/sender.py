"""Objects to a PACS, by C-STORE or by STOW-RS. What is there already counts as sent."""

import copy
import logging
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from dicomweb_client import DICOMwebClient, session_utils
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from requests import HTTPError, RequestException, Response, Session
from requests.exceptions import SSLError

from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
# C-STORE statuses (PS3.4 B.2.3 and PS3.7 C.4, C.5)
_SUCCESS, _DUPLICATE, _PROCESSING_FAILURE = 0x0000, 0x0111, 0x0110
_WARNINGS = (0xB000, 0xB006, 0xB007)  # stored, with values changed or left out
_OUT_OF_RESOURCES = 0xA7  # the high byte
_REJECTED_TRANSIENT = 2
_WHOLE = 1 << 30  # bytes: a request is sent in one piece with its length, as every server takes it
_LONGEST_TITLE = 16
_GOODBYE_S = 2  # how long the answer to a release may take: all is stored by then
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)

# The client library wraps each request in one that would log a traceback before SendFailed says what happened.
logging.getLogger("retrying").setLevel(logging.ERROR)


class SendFailed(BiradsError):
    """Objects did not arrive, or not all; ``retry`` is True where the same attempt may succeed later."""

    def __init__(self, message: str, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


@dataclass(frozen=True)
class Tls:
    """How a connection is encrypted: whom to trust (None: the usual authorities), and one's own certificate."""

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class DicomNode:
    """A C-STORE provider.

    called, calling : application entity titles of the provider and of this product, 1 to 16 characters
    tls : None sends unencrypted
    """

    host: str
    port: int
    called: str
    calling: str = "BIRADS"
    tls: Tls | None = None
    timeout_s: float = 30

    def __post_init__(self) -> None:
        for title in (self.called, self.calling):
            if not 1 <= len(title.strip()) <= _LONGEST_TITLE:
                raise ValueError(f"An AE title has 1 to {_LONGEST_TITLE} characters. Got {title!r}.")

    def __str__(self) -> str:
        return f"{self.called} at {self.host}:{self.port}"


@dataclass(frozen=True)
class DicomWeb:
    """A STOW-RS server: the address before ``/studies``; a user with password, or a bearer token.

    ``tls`` is only needed for authorities or a certificate of one's own; https is encrypted without.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    tls: Tls | None = None
    timeout_s: float = 30

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc:
            raise ValueError("A DICOMweb address begins with http:// or https:// and names no user.")

    def __str__(self) -> str:
        return self.url


Destination = DicomNode | DicomWeb


def send(objects: Sequence[Dataset], destination: Destination) -> None:
    """Store objects, which have their file meta information, at a destination.

    Raises
    ------
    SendFailed
        One did not arrive. All may be sent again: a second copy replaces or confirms the first.
    """
    if not objects:
        return
    if isinstance(destination, DicomNode):
        _c_store(objects, destination)
    else:
        _stow(objects, destination)


def _c_store(objects: Sequence[Dataset], node: DicomNode) -> None:
    with _association(objects, node) as association:
        for made in objects:
            try:
                status = association.send_c_store(_as_accepted(made, association, node)).get("Status")
            except RuntimeError:  # the association ended between two objects
                status = None
            _judge(status, node)


@contextmanager
def _association(objects: Sequence[Dataset], node: DicomNode) -> Iterator[Association]:
    """An association with a context for every class and transfer syntax of the objects; released on leaving."""
    entity = AE(ae_title=node.calling)
    entity.acse_timeout = entity.dimse_timeout = node.timeout_s
    entity.network_timeout = entity.connection_timeout = node.timeout_s
    # A context each, so that the provider cannot choose one for all.
    for sop_class, syntax in sorted(
        {
            (made.SOPClassUID, syntax)
            for made in objects
            for syntax in (made.file_meta.TransferSyntaxUID, *_UNCOMPRESSED)
        }
    ):
        entity.add_requested_context(sop_class, syntax)
    context = _context(node.tls) if node.tls else None
    tls = (context, node.host) if context else None
    association = entity.associate(node.host, node.port, ae_title=node.called, tls_args=tls)
    if context and context.distrust:
        raise SendFailed(
            msg(
                "node-untrusted",
                node=str(node),
                reason=context.distrust,
            ),
            True,
        )
    if not association.is_established:
        raise _refusal(association, node)
    try:
        yield association
    finally:
        association.acse_timeout = _GOODBYE_S
        association.release()


class _Socket(ssl.SSLSocket):
    """Leaves with its context why a certificate is not trusted: pynetdicom takes that for any broken connection."""

    context: "_Context"

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except ssl.SSLCertVerificationError as error:
            self.context.distrust = error.verify_message
            raise


class _Context(ssl.SSLContext):
    """Checks certificates and host names; ``distrust`` is why one was not trusted."""

    distrust = ""
    sslsocket_class = _Socket


def _context(tls: Tls) -> _Context:
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if tls.authorities:
            context.load_verify_locations(tls.authorities)
        else:
            context.load_default_certs()
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:
        raise SendFailed(
            msg("tls-certificates-unreadable", reason=str(error)),
            False,
        ) from None
    return context


def _refusal(association: Association, node: DicomNode) -> SendFailed:
    """Why there is no association."""
    answer = association.acceptor.primitive
    if association.is_rejected and answer:
        transient = answer.result == _REJECTED_TRANSIENT
        return SendFailed(
            msg(
                "node-rejected-association",
                node=str(node),
                reason=answer.reason_str,
            ),
            transient,
        )
    if association.rejected_contexts:
        return SendFailed(msg("node-classes-not-stored", node=str(node)), False)
    return SendFailed(
        msg(
            "node-unreachable",
            node=str(node),
        ),
        True,
    )


def _as_accepted(made: Dataset, association: Association, node: DicomNode) -> Dataset:
    """The object as the provider takes it: decompressed where it does not know the compression."""
    syntaxes = {
        context.transfer_syntax[0]
        for context in association.accepted_contexts
        if context.abstract_syntax == made.SOPClassUID
    }
    own = made.file_meta.TransferSyntaxUID
    if own in syntaxes or (syntaxes and not own.is_compressed):
        return made
    if not syntaxes:
        raise SendFailed(
            msg(
                "node-class-not-stored",
                node=str(node),
                sop_class=made.SOPClassUID.name,
            ),
            False,
        )
    plain = copy.deepcopy(made)
    plain.decompress(generate_instance_uid=False)
    return plain


def _judge(status: int | None, node: Destination) -> None:
    """Raise unless a status says that the object is there."""
    if status is None:
        raise SendFailed(msg("node-aborted", node=str(node)), True)
    if status in (_SUCCESS, _DUPLICATE, *_WARNINGS):
        return
    retry = status == _PROCESSING_FAILURE or status >> 8 == _OUT_OF_RESOURCES
    raise SendFailed(
        msg(
            "node-refused-object",
            node=str(node),
            status=f"{status:04X}",
        ),
        retry,
    )


def _stow(objects: Sequence[Dataset], server: DicomWeb) -> None:
    client = web_client(server)
    for made in objects:  # one a request: an answer then speaks of one object
        try:
            answer = client.store_instances([made])
        except HTTPError as error:
            assert error.response is not None  # it comes of an answer
            _judge_http(error.response, server)
        except SSLError:
            raise SendFailed(msg("server-untrusted", server=str(server)), False) from None
        except (ValueError, KeyError, SyntaxError):
            raise SendFailed(
                msg("server-not-dicomweb", server=str(server)),
                False,
            ) from None
        except RequestException as error:
            raise SendFailed(
                msg(
                    "server-connection-failed",
                    server=str(server),
                    reason=type(error).__name__,
                ),
                True,
            ) from None
        except OSError as error:
            raise SendFailed(
                msg("tls-certificates-unreadable", reason=str(error)),
                False,
            ) from None
        else:
            _judge_failures(answer, server)


def web_client(server: DicomWeb) -> DICOMwebClient:
    """A client that tries once: the caller decides when to try again; raises OSError without its certificates."""
    client = DICOMwebClient(server.url, session=_session(server), chunk_size=_WHOLE, timeout=server.timeout_s)
    client.set_http_retry_params(retry=False)
    return client


def _session(server: DicomWeb) -> Session:
    session = session_utils.create_session()
    session.trust_env = (
        False  # what the destination says counts: no proxy, authorities or .netrc file beside it
    )
    if server.token:
        session.headers["Authorization"] = f"Bearer {server.token}"
    elif server.user:
        session.auth = (server.user, server.password)
    if server.tls:
        session.verify = str(server.tls.authorities) if server.tls.authorities else True
        if server.tls.certificate:
            session.cert = (str(server.tls.certificate), str(server.tls.key))
    return session


def _judge_http(response: Response, server: DicomWeb) -> None:
    """Raise unless a refusal only says that the object is there (PS3.18 10.5.3)."""
    status = response.status_code
    if status == HTTPStatus.CONFLICT and _reasons(_answer(response)) == {_DUPLICATE}:
        return
    retry = status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    raise SendFailed(
        msg(
            "server-refused-object",
            server=str(server),
            status=status,
        ),
        retry,
    ) from None


def _answer(response: Response) -> Dataset:
    """What a refusal says about the object; empty where it is not DICOM JSON."""
    try:
        return Dataset.from_json(response.json())
    except (ValueError, TypeError, AttributeError, KeyError):
        return Dataset()


def _judge_failures(answer: Dataset, server: DicomWeb) -> None:
    for reason in _reasons(answer):
        _judge(reason, server)


def _reasons(answer: Dataset) -> set[int]:
    """The (0008,1197) *Failure Reason* of every object that was not stored."""
    return {int(item.get("FailureReason", 0xC000)) for item in answer.get("FailedSOPSequence", [])}
