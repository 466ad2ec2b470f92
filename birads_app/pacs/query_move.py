"""Query and retrieval of a patient's studies by C-FIND and C-MOVE at study root (PS3.4 C).

The node sends retrieved objects to this product's own Storage SCP, :mod:`birads_app.pacs.storage_scp`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from birads_app.imaging.dicom.parser import text, texts
from birads_app.pacs.found_studies import FoundStudy, PriorQuery
from birads_app.pacs.sender import DicomNode, SendFailed, associate
from birads_app.terms.messages import msg

_MODELS = (StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelMove)
_CONTEXTS = [
    (model, syntax) for model in _MODELS for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
]
# Statuses (PS3.4 C.4.1.1.4 and C.4.2.1.5)
_SUCCESS, _PENDING, _MOVE_DESTINATION_UNKNOWN = 0x0000, (0xFF00, 0xFF01), 0xA801
_ANSWERS_MAX = 500
# Seconds without an answer after which a retrieval is given up: some nodes answer only once all is sent.
_MOVE_SILENCE_S = 600
_STOP_EVERY_S = 0.5


def find_studies(node: DicomNode, query: PriorQuery) -> list[FoundStudy]:
    """Find a patient's studies with mammograms; raise SendFailed.

    What the node returns is not checked: it may ignore a key.
    """
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    if not query.patient_id.isascii():
        wanted.SpecificCharacterSet = "ISO_IR 192"
    wanted.PatientID, wanted.StudyDate = query.patient_id, f"{query.first}-{query.last}"
    wanted.ModalitiesInStudy = query.modality
    for keyword in ("StudyInstanceUID", "StudyTime", "PatientBirthDate", "IssuerOfPatientID"):
        setattr(wanted, keyword, "")
    with _association(node) as association:
        return [
            FoundStudy(
                uid=text(found, "StudyInstanceUID"),
                date=text(found, "StudyDate"),
                time=text(found, "StudyTime"),
                patient_id=text(found, "PatientID"),
                issuer=text(found, "IssuerOfPatientID"),
                birth_date=text(found, "PatientBirthDate"),
                modalities=tuple(filter(None, texts(found, "ModalitiesInStudy"))),
            )
            for found in _find(association, wanted, node)
        ]


def move_study(node: DicomNode, study: str, modality: str, stop: threading.Event | None = None) -> None:
    """Let the node send the series of a modality in a study to this product; raise SendFailed.

    ``stop`` gives up the retrieval as soon as it is set.
    """
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "SERIES"
    wanted.StudyInstanceUID, wanted.Modality, wanted.SeriesInstanceUID = study, modality, ""
    with _association(node) as association, _given_up(association, stop):
        found = list(_find(association, wanted, node))
        chosen = [one for one in found if text(one, "Modality") in ("", modality)]
        if not chosen:
            raise SendFailed(msg("server-lists-nothing", server=str(node)), True)
        association.dimse_timeout = association.network_timeout = _MOVE_SILENCE_S
        for series in chosen:
            _move(association, study, text(series, "SeriesInstanceUID"), node)


def _find(association: Association, wanted: Dataset, node: DicomNode) -> Iterator[Dataset]:
    """Yield the answers to a query, at most :data:`_ANSWERS_MAX`."""
    count = 0
    for answer, found in association.send_c_find(wanted, _MODELS[0]):
        status = answer.get("Status")
        if status in _PENDING and found is not None:
            count += 1
            if count <= _ANSWERS_MAX:
                yield found
        elif status is None:
            raise SendFailed(msg("node-aborted", node=str(node)), True)
        elif status != _SUCCESS:
            raise SendFailed(msg("node-query-failed", node=str(node), status=f"{status:04X}"), True)


def _move(association: Association, study: str, series: str, node: DicomNode) -> None:
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "SERIES"
    wanted.StudyInstanceUID, wanted.SeriesInstanceUID = study, series
    for answer, _ in association.send_c_move(wanted, node.calling, _MODELS[1]):
        status = answer.get("Status")
        if status is None:
            raise SendFailed(msg("node-aborted", node=str(node)), True)
        if status == _MOVE_DESTINATION_UNKNOWN:
            raise SendFailed(msg("node-move-unknown", node=str(node), title=node.calling), True)
        if status not in (_SUCCESS, *_PENDING):
            failed = int(answer.get("NumberOfFailedSuboperations") or 0)
            raise SendFailed(
                msg("node-move-failed", node=str(node), status=f"{status:04X}", failed=failed), True
            )


@contextmanager
def _association(node: DicomNode) -> Iterator[Association]:
    refused = msg("node-no-query", node=str(node))
    with associate(_CONTEXTS, node, refused) as association:
        if not set(_MODELS) <= {one.abstract_syntax for one in association.accepted_contexts}:
            raise SendFailed(refused, False)
        try:
            yield association
        except RuntimeError:  # the association ended between two requests
            raise SendFailed(msg("node-aborted", node=str(node)), True) from None


@contextmanager
def _given_up(association: Association, stop: threading.Event | None) -> Iterator[None]:
    """Abort the association once ``stop`` is set."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_STOP_EVERY_S):
            if stop is not None and stop.is_set():
                association.abort()
                return

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
