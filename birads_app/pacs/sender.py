"""Sending of objects to a PACS, by C-STORE or STOW-RS. Objects that it already has count as sent."""

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
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ
from requests import HTTPError, RequestException, Response, Session
from requests.exceptions import SSLError

from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import Message, msg

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
# C-STORE statuses (PS3.4 B.2.3 and PS3.7 C.4, C.5)
_SUCCESS, _DUPLICATE, _PROCESSING_FAILURE = 0x0000, 0x0111, 0x0110
_WARNINGS = (0xB000, 0xB006, 0xB007)  # stored, with values changed or left out
_OUT_OF_RESOURCES = 0xA7  # the high byte
_REJECTED_TRANSIENT = 2
_CHUNK = 1 << 30  # bytes: requests are sent in one piece with their length, which every server accepts
_LONGEST_TITLE = 16
_RELEASE_S = 2  # time limit for the response to a release: everything is stored by then
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)

# The client library's retry wrapper would log a traceback before SendFailed is raised.
logging.getLogger("retrying").setLevel(logging.ERROR)


class SendFailed(BiradsError):
    """Not all objects arrived; ``retry`` is True if the same attempt may succeed later."""

    def __init__(self, message: str, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


@dataclass(frozen=True)
class Tls:
    """TLS files: trusted authorities (None for the system's), and the own certificate with its key."""

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
    """A STOW-RS server: address before ``/studies``, and a user with password or a bearer token.

    ``tls`` is only needed for custom authorities or a client certificate.
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
    """Store objects with file meta information at a destination.

    Raises
    ------
    SendFailed
        An object did not arrive. All can be sent again: a second copy replaces or confirms the first.
    """
    if not objects:
        return
    if isinstance(destination, DicomNode):
        _c_store(objects, destination)
    else:
        _stow(objects, destination)


def _c_store(objects: Sequence[Dataset], node: DicomNode) -> None:
    # One context each, because a provider accepts only one syntax per context.
    contexts = {
        (made.SOPClassUID, syntax)
        for made in objects
        for syntax in (made.file_meta.TransferSyntaxUID, *_UNCOMPRESSED)
    }
    refused = msg("node-classes-not-stored", node=str(node))
    with associate(sorted(contexts), node, refused) as association:
        for made in objects:
            try:
                status = association.send_c_store(_in_accepted_syntax(made, association, node)).get("Status")
            except RuntimeError:  # the association ended between two objects
                status = None
            _check_status(status, node)


@contextmanager
def associate(
    contexts: Sequence[tuple[str, str]], node: DicomNode, refused: Message
) -> Iterator[Association]:
    """Open an association, release it at the end; raise SendFailed if there is none.

    Parameters
    ----------
    contexts : SOP class and transfer syntax of each presentation context
    refused : reason if the node accepts none of them
    """
    entity = AE(ae_title=node.calling)
    entity.acse_timeout = entity.dimse_timeout = node.timeout_s
    entity.network_timeout = entity.connection_timeout = node.timeout_s
    for sop_class, syntax in contexts:
        entity.add_requested_context(sop_class, syntax)
    context = _context(node.tls) if node.tls else None
    tls = (context, node.host) if context else None
    rejections: list[A_ASSOCIATE_RJ] = []

    def note(event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            rejections.append(event.pdu)

    association = entity.associate(
        node.host, node.port, ae_title=node.called, tls_args=tls, evt_handlers=[(evt.EVT_PDU_RECV, note)]
    )
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
        raise _refusal(association, rejections, node, refused)
    try:
        yield association
    finally:
        association.acse_timeout = _RELEASE_S
        association.release()


class _Socket(ssl.SSLSocket):
    """Socket that stores why a certificate is not trusted, which pynetdicom does not report."""

    context: "_Context"

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except ssl.SSLCertVerificationError as error:
            self.context.distrust = error.verify_message
            raise


class _Context(ssl.SSLContext):
    """Context that verifies certificates and host names; ``distrust`` is the reason of a failure."""

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


def _refusal(
    association: Association, rejections: Sequence[A_ASSOCIATE_RJ], node: DicomNode, refused: Message
) -> SendFailed:
    """Return the error that explains why there is no association.

    Parameters
    ----------
    rejections : received ones; the association itself misses one after which the node ended the connection at once
    """
    if rejections:
        (answer,) = rejections
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
        return SendFailed(refused, False)
    return SendFailed(
        msg(
            "node-unreachable",
            node=str(node),
        ),
        True,
    )


def _in_accepted_syntax(made: Dataset, association: Association, node: DicomNode) -> Dataset:
    """Return the object in an accepted transfer syntax, decompressed if the provider does not support RLE."""
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


def _check_status(status: int | None, node: Destination) -> None:
    """Raise SendFailed unless the status means that the object is stored."""
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
    for made in objects:  # one per request, so that a response concerns one object
        try:
            answer = client.store_instances([made])
        except HTTPError as error:
            assert error.response is not None  # HTTPError is only raised for a response
            _check_http(error.response, server)
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
            _check_failures(answer, server)


def web_client(server: DicomWeb) -> DICOMwebClient:
    """Create a client without automatic retries; raise OSError if its certificates cannot be read."""
    client = DICOMwebClient(
        server.url, session=web_session(server), chunk_size=_CHUNK, timeout=server.timeout_s
    )
    client.set_http_retry_params(retry=False)
    return client


def web_session(server: DicomWeb) -> Session:
    """Create a session with the server's credentials; nothing is sent yet."""
    session = session_utils.create_session()
    session.trust_env = False  # ignore proxies, authorities and .netrc files of the environment
    if server.token:
        session.headers["Authorization"] = f"Bearer {server.token}"
    elif server.user:
        session.auth = (server.user, server.password)
    if server.tls:
        session.verify = str(server.tls.authorities) if server.tls.authorities else True
        if server.tls.certificate:
            session.cert = (str(server.tls.certificate), str(server.tls.key))
    return session


def _check_http(response: Response, server: DicomWeb) -> None:
    """Raise SendFailed unless the refusal means that the object is already stored (PS3.18 10.5.3)."""
    status = response.status_code
    if status == HTTPStatus.CONFLICT and _reasons(_refused_instances(response)) == {_DUPLICATE}:
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


def _refused_instances(response: Response) -> Dataset:
    """Parse the DICOM JSON of a refusal; empty if it is not DICOM JSON."""
    try:
        return Dataset.from_json(response.json())
    except (ValueError, TypeError, AttributeError, KeyError):
        return Dataset()


def _check_failures(answer: Dataset, server: DicomWeb) -> None:
    for reason in _reasons(answer):
        _check_status(reason, server)


def _reasons(answer: Dataset) -> set[int]:
    """Return the (0008,1197) *Failure Reason* of every object that was not stored."""
    return {int(item.get("FailureReason", 0xC000)) for item in answer.get("FailedSOPSequence", [])}
