"""A running application to which files come by upload, C-STORE and fetch, for the cases of the documents."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pynetdicom import AE

from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.pacs import dicomweb_client, worker
from birads_app.pacs.fetch import Fetched, fetch_studies
from birads_app.pacs.results import dicom_web_of
from birads_app.pacs.storage_scp import Provider
from birads_app.records import exams, identities, spool, tokens, users
from birads_app.records.identities import PatientVersion
from birads_app.records.schema import Role
from tests.support.dicomweb_archive import Archive
from tests.support.factories import PASSWORD, bearer, post_files, sign_in
from tests.support.http_server import http_server
from tests.support.orthanc import free_port

_ACCOUNT = "cases"


@dataclass(frozen=True)
class CaseSite:
    """An application with an account and its token."""

    app: Flask
    token: str

    def post(self, *files: tuple[str, bytes]) -> tuple[int, dict[str, Any]]:
        """Send files to the API; return status and answer."""
        answer = post_files(self.app.test_client(), self.token, *files)
        return answer.status_code, answer.json

    def exams(self, *files: tuple[str, bytes]) -> list[dict[str, Any]]:
        """Send files that have to be accepted."""
        status, answer = self.post(*files)
        assert status == 201, answer
        return list(answer.get("exams", [answer]))

    def store(self, study: str, *objects: bytes) -> list[dict[str, Any]]:
        """Send objects by C-STORE; return the exams that are made of them."""
        settings = self._with(dicom_port=free_port())
        with self.app.app_context(), _providing(Provider(settings, spool.of_app())):
            entity = AE("MODALITY")
            datasets = [dcmread(DicomBytesIO(data)) for data in objects]
            for dataset in datasets:
                entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
            association = entity.associate("127.0.0.1", settings.dicom_port, ae_title=settings.dicom_ae_title)
            assert association.is_established
            assert all(association.send_c_store(dataset).Status == 0 for dataset in datasets)
            association.release()
            worker.ingest_stable_studies(0)
        return self.listed(study)

    def fetch(self, archive: Archive) -> tuple[Fetched, list[dict[str, Any]]]:
        """Fetch all studies of a DICOMweb server; return the result and the exams made of them."""
        with self.app.app_context(), http_server(lambda path, _: archive.answer(path)) as address:
            server = dicom_web_of(self._with(pacs_dicomweb_url=address))
            assert server is not None
            studies = dicomweb_client.find_studies(server, "20260101", "20260131", "MG")
            fetched = fetch_studies(server, studies, spool.of_app(), lambda _: None)
            worker.ingest_stable_studies(0)
        return fetched, [exam for study in studies for exam in self.listed(study)]

    def listed(self, study: str) -> list[dict[str, Any]]:
        """Return the exams of a study, named by the UID it came with."""
        with self.app.app_context():
            plain = not self.app.extensions["birads_settings"].deidentify
            uid = study if plain else Pseudonyms(self.app.extensions["birads_site_key"]).uid(study)
            found = [exam.id for exam in exams.with_study(uid)]
        client = self.app.test_client()
        return [client.get(f"/api/v1/predictions/{one}", headers=bearer(self.token)).json for one in found]

    def patients(self, exam: dict[str, Any]) -> tuple[PatientVersion, ...]:
        """Return the versions of the patient that an exam's images name, as an administrator sees them."""
        with self.app.app_context():
            return identities.of(exams.get(exam["id"])).versions

    def spacing(self, exam: dict[str, Any]) -> list[float]:
        """Return the pixel spacing in mm by which distances in the viewer are measured."""
        client = self.app.test_client()
        sign_in(client, _ACCOUNT)
        address = f"/exams/{exam['id']}/images/{exam['images'][0]['id']}/tiles"
        return list(client.get(address).json["spacing"])

    def _with(self, **changes: object) -> Any:
        return self.app.extensions["birads_settings"].model_copy(update=changes)


def site(app: Flask) -> CaseSite:
    """Create an account in an application with a model, and return the site."""
    with app.app_context():
        users.create(_ACCOUNT, PASSWORD, Role.RADIOLOGIST)
        return CaseSite(app, tokens.create(users.by_name(_ACCOUNT)))


def settings_of(instance: str, models: str, *, deidentify: bool) -> dict[str, object]:
    """Return the settings of a site's application."""
    return {
        "BIRADS_INSTANCE": instance,
        "BIRADS_MODELS": models,
        "BIRADS_DEIDENTIFY": str(int(deidentify)),
        "BIRADS_DICOM_ALLOWED_AETS": "MODALITY@127.0.0.1",
        "TESTING": True,
        "WTF_CSRF_ENABLED": False,
    }


@contextlib.contextmanager
def _providing(provider: Provider) -> Iterator[None]:
    ended = threading.Event()
    serving = threading.Thread(target=provider.serve, args=(ended.wait,), daemon=True)
    serving.start()
    try:
        yield
    finally:
        ended.set()
        serving.join()
