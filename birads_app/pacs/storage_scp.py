"""Verification and Storage SCP that writes received objects into the spool.

pynetdicom implements the protocol. In addition, a peer can neither exhaust the memory nor block others: the size of
messages and PDUs is limited, every read has a time limit, and no address gets more than half of the associations.
"""

import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO
from ipaddress import ip_address
from typing import Any

import pydicom.uid as uids
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from birads_app.config import Settings, SettingsError
from birads_app.imaging.dicom import object_outline
from birads_app.logs import where
from birads_app.records import disk_space
from birads_app.records.disk_space import DiskFull, DiskReadOnly
from birads_app.records.spool import Spool
from birads_app.setting_values import Peer
from birads_app.terms.errors import InputError
from birads_app.terms.messages import msg

log = logging.getLogger(__name__)

STORAGE_CLASSES = (
    uids.DigitalMammographyXRayImageStorageForPresentation,
    uids.DigitalMammographyXRayImageStorageForProcessing,
    uids.BreastTomosynthesisImageStorage,
    uids.DigitalXRayImageStorageForPresentation,
    uids.DigitalXRayImageStorageForProcessing,
    uids.ComputedRadiographyImageStorage,
    uids.SecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)
# All supported syntaxes; within a presentation context, the peer's order decides.
TRANSFER_SYNTAXES = (
    uids.ExplicitVRLittleEndian,
    uids.ImplicitVRLittleEndian,
    uids.JPEGLosslessSV1,
    uids.JPEGLossless,
    uids.JPEGLSLossless,
    uids.JPEG2000Lossless,
    uids.HTJ2KLossless,
    uids.HTJ2KLosslessRPCL,
    uids.RLELossless,
    uids.DeflatedExplicitVRLittleEndian,
    uids.ExplicitVRBigEndian,
    uids.JPEGBaseline8Bit,
    uids.JPEGExtended12Bit,
    uids.JPEGLSNearLossless,
    uids.JPEG2000,
    uids.HTJ2K,
)
# C-STORE statuses (PS3.4 B.2.3, PS3.7 C.5)
_SUCCESS, _NOT_AUTHORISED, _OUT_OF_RESOURCES, _NOT_UNDERSTOOD = 0x0000, 0x0124, 0xA700, 0xC000
# Seconds that a peer may be silent before and after the association is established.
_INTRODUCTION_S, _SILENCE_S = 15, 60
_POLL_S = 0.2
# Bytes. Data arrives in PDUs of the requested size; an association request may be somewhat longer.
_PDU, _LONGEST_PDU = 1 << 17, 1 << 20


class Provider:
    """Storage SCP. Listens once created; serves in :meth:`serve`, each association in threads of its own.

    Raises SettingsError if the port or the certificates cannot be used.
    """

    def __init__(self, settings: Settings, spool: Spool) -> None:
        self._settings, self._peers, self._spool = settings, settings.dicom_allowed_aets, spool
        entity = AE(ae_title=settings.dicom_ae_title)
        entity.maximum_associations = settings.dicom_max_associations
        entity.maximum_pdu_size = _PDU
        entity.acse_timeout, entity.network_timeout = _INTRODUCTION_S, _SILENCE_S
        entity.require_called_aet = True
        entity.require_calling_aet = sorted({peer.title for peer in self._peers})
        entity.add_supported_context(Verification)
        for storage in STORAGE_CLASSES:
            entity.add_supported_context(storage, list(TRANSFER_SYNTAXES))
        handlers: list[Any] = [
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_PDU_RECV, _bound, [settings.dicom_max_object_mb << 20]),
        ]
        address = settings.dicom_bind, settings.dicom_port
        try:
            self._server = entity.make_server(
                address,
                ssl_context=_tls(settings),
                evt_handlers=handlers,
                server_class=_Server,
                request_handler=_Handler,
                peers=settings.dicom_allowed_aets,
            )
        except OSError as error:
            raise SettingsError(
                f"Cannot listen at {address[0]}:{address[1]}: {error.strerror}. Look at BIRADS_DICOM_BIND and _PORT."
            ) from None

    def serve(self, stopped: Callable[[float], bool]) -> None:
        """Serve peers until stopped; close all connections at the end.

        Parameters
        ----------
        stopped : waits for at most the given seconds, and returns True if serving is to end
        """
        self._server.timeout = _POLL_S
        try:
            while not stopped(0):
                self._server.handle_request()
                self._server.service_actions()
        finally:
            self._server.server_close()
            for association in self._server.active_associations:
                connection: Any = association.dul.socket
                with suppress(OSError, AttributeError):  # it has ended meanwhile
                    connection.socket.shutdown(socket.SHUT_RDWR)

    def _echo(self, event: Event) -> int:
        return _SUCCESS if self._is_peer(event) else _NOT_AUTHORISED

    def _store(self, event: Event) -> int:
        """Handle C-STORE: return success once the object is safely in the spool."""
        if not self._is_peer(event):
            return _NOT_AUTHORISED
        if getattr(getattr(event.request, "DataSet", None), "overflowed", False):
            log.warning("Refused an object over BIRADS_DICOM_MAX_OBJECT_MB from %s", _name(event.assoc))
            return _OUT_OF_RESOURCES
        data = event.encoded_dataset()
        try:
            study, instance = object_outline.uids(object_outline.read_beginning(data))
            if not (study and instance):
                raise InputError(msg("uids-missing"))
        except Exception as error:  # any error of the parser caused by a damaged object
            log.warning("Refused an object from %s: %s", _name(event.assoc), type(error).__name__)
            return _NOT_UNDERSTOOD
        try:
            disk_space.check(self._settings)
            self._spool.add(study, instance, data)
        except (DiskFull, DiskReadOnly) as reason:
            log.error("Refused an object from %s: %s", _name(event.assoc), reason)
            return _OUT_OF_RESOURCES
        except OSError as error:
            log.error("The spool cannot be written:\n%s", where(error))
            return _OUT_OF_RESOURCES
        return _SUCCESS

    def _is_peer(self, event: Event) -> bool:
        """Return True if title and address belong to the same peer; each alone was checked before."""
        requestor = event.assoc.requestor
        return any(
            peer.title == requestor.ae_title.strip() and ip_address(requestor.address) in peer.network
            for peer in self._peers
        )


class _Bounded(BytesIO):
    """Buffer for a message's data up to a limit; longer data is dropped."""

    overflowed = False

    def __init__(self, limit: int, start: bytes) -> None:
        super().__init__()
        self._limit = limit
        self.write(start)

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self._limit:
            self.overflowed = True
            self.seek(0)
            self.truncate()
        return len(data) if self.overflowed else super().write(data)


def _bound(event: Event, limit: int) -> None:
    """Limit the size of the message being received."""
    message: Any = event.assoc.dimse.message
    if message is not None and not isinstance(message.data_set, _Bounded):
        message.data_set = _Bounded(limit, message.data_set.getvalue())
        message.encoded_command_set = _Bounded(_LONGEST_PDU, message.encoded_command_set.getvalue())


class _Handler(RequestHandler):
    """Handler whose associations limit the length of PDUs and do not keep the process from ending."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.daemon = True  # must not keep the process from ending
        connection: Any = association.dul.socket
        receive = connection.recv

        def receive_bounded(size: int) -> bytearray:
            if size > _LONGEST_PDU:
                raise OSError(f"A PDU of {size} bytes is declared.")
            return receive(size)

        connection.recv = receive_bounded
        return association


class _Server(ThreadedAssociationServer):
    """Server that closes connections from unknown addresses and does not wait for TLS handshakes."""

    daemon_threads = True

    def __init__(self, *given: Any, peers: Sequence[Peer], **more: Any) -> None:
        self._peers = peers
        super().__init__(*given, **more)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its TLS handshake happens at the first read, in a thread of its own."""
        listening: Any = self.socket
        connection, address = listening.accept()
        connection.settimeout(_SILENCE_S)
        if self.ssl_context:
            connection = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return True for a peer's address that has not reached its share of associations."""
        host = client_address[0]
        if not any(ip_address(host) in peer.network for peer in self._peers):
            log.warning("Closed a connection from %s, which is not a peer's address", host)
            return False
        same = sum(association.requestor.address == host for association in self.active_associations)
        return same < max(1, self.ae.maximum_associations // 2)


def _name(association: Association) -> str:
    return f"{association.requestor.ae_title}@{association.requestor.address}"


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context, if TLS is configured."""
    if settings.dicom_tls_certificate is None:
        return None
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.dicom_tls_certificate, settings.dicom_tls_key)
        if settings.dicom_tls_authorities:
            context.load_verify_locations(settings.dicom_tls_authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise SettingsError(f"The files of BIRADS_DICOM_TLS_* cannot be read: {error}.") from None
    return context
