"""Accounts, tokens and image files for tests of the web application."""

import io
import struct
import zlib
from functools import lru_cache

import cv2
import numpy as np
from flask import Flask
from flask.testing import FlaskClient
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from werkzeug.test import TestResponse

from birads_app.records import audit_log, tokens, users
from birads_app.records.schema import Role

PASSWORD = "correct horse battery"
MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"


def make_user(app: Flask, name: str = "reader", role: str = Role.RADIOLOGIST) -> None:
    """Create an account with :data:`PASSWORD`."""
    with app.app_context():
        users.create(name, PASSWORD, role)


def last_audit_entry(app: Flask) -> tuple[str, str, str, str]:
    """Return name, action, object and detail of the newest entry of the audit log that is no view."""
    with app.app_context():
        entry = next(
            entry for entry in audit_log.newest(10) if entry.action not in ("view exam", "load images")
        )
        return entry.who, entry.action, entry.subject, entry.detail


def sign_in(client: FlaskClient, name: str = "reader", password: str = PASSWORD) -> TestResponse:
    """Send the login form."""
    return client.post("/login", data={"name": name, "password": password})


def make_token(app: Flask, name: str = "robot") -> str:
    """Create an account and return a token."""
    make_user(app, name)
    with app.app_context():
        return tokens.create(users.by_name(name))


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def post_files(client: FlaskClient, token: str, *files: tuple[str, bytes]) -> TestResponse:
    """Send files to the API."""
    data = {"file": [(io.BytesIO(content), name) for name, content in files]}
    return client.post("/api/v1/predictions", data=data, headers=bearer(token))


def deletion(exam_url: str) -> str:
    """The address at which an administrator deletes an exam."""
    return f"/admin/exams/delete?exam={exam_url.rsplit('/', 1)[-1]}"


@lru_cache(32)
def breast(height: int = 640, width: int = 512, seed: int = 0) -> np.ndarray:
    """Draw a simple left breast on dark air, read-only uint16 (height, width)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    depth = 1 - np.hypot((rows - height / 2) / (0.42 * height), columns / (0.75 * width))
    noise = random.normal(size=(height, width)).astype(np.float32)
    texture = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1, 3, 9, 25))
    tissue = 0.25 + 0.4 * np.sqrt(np.clip(depth, 0, 1)) + 0.05 * texture
    picture = np.where(depth > 0, np.clip(tissue, 0.1, 1), 0.01)
    pixels = (picture * 65535).astype(np.uint16)
    pixels.flags.writeable = False
    return pixels


def png(pixels: np.ndarray) -> bytes:
    """Encode grey or BGR pixels."""
    return cv2.imencode(".png", pixels)[1].tobytes()


@lru_cache(8)
def mammogram_png(seed: int = 0) -> bytes:
    """A 16-bit PNG of :func:`breast`."""
    return png(breast(seed=seed))


def dicom(
    pixels: np.ndarray | None,
    *,
    sop_class: str = MAMMOGRAPHY,
    syntax: str = ExplicitVRLittleEndian,
    frames: int = 1,
) -> FileDataset:
    """A mammogram as a data set; :func:`dicom_bytes` turns it to bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = UID(syntax)
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"MZ" + bytes(126))
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PresentationIntentType = "MG", "FOR PRESENTATION"
    dataset.PatientName, dataset.PatientID = "Secretname^Jane", "ID-4711"
    dataset.ImageLaterality, dataset.ViewPosition = "L", "CC"
    if pixels is not None:
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = 0
        data = pixels.astype("<u2").tobytes() * frames
        dataset.PixelData = encapsulate([data]) if meta.TransferSyntaxUID.is_compressed else data
        if frames > 1:
            dataset.NumberOfFrames = frames
    return dataset


def dicom_bytes(dataset: FileDataset) -> bytes:
    """Encode a data set with its preamble and file meta group."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def mammogram_dicom(seed: int = 0) -> bytes:
    """An uncompressed DICOM file of :func:`breast`."""
    return dicom_bytes(dicom(breast(seed=seed)))


def png_that_claims(width: int, height: int) -> bytes:
    """A tiny PNG whose header declares the given size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def colour_photograph(seed: int = 0) -> bytes:
    """A JPEG of coloured shapes on a coloured background."""
    random = np.random.default_rng(seed)
    picture = np.full((480, 640, 3), (200, 120, 40), np.uint8)
    for _ in range(60):
        centre, colour = random.integers(0, 480, 2).tolist(), random.integers(0, 256, 3).tolist()
        cv2.circle(picture, centre, int(random.integers(10, 90)), colour, -1)
    return cv2.imencode(".jpg", picture)[1].tobytes()
