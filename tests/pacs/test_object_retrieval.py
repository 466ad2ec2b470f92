"""The object in a response of WADO-RS is taken as the bytes that were sent."""

import pytest

from birads_app.pacs.object_retrieval import object_in

KIND = 'multipart/related; type="application/dicom"; boundary="a b"'
OBJECT = b"\0\r\n\r\n--a\r\n\xff"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (KIND, b"--a b\r\nContent-Type: application/dicom\r\n\r\n" + OBJECT + b"\r\n--a b--\r\n"),
        (KIND, b"\r\n--a b\r\nContent-Length: 9\r\nMIME-Version: 1.0\r\n\r\n" + OBJECT + b"\r\n--a b--"),
        (KIND, b"for people\r\n--a b  \r\n\r\n" + OBJECT + b"\r\n--a b--and more"),
        (KIND, b"--a b\r\n\r\n" + OBJECT),
        (KIND.upper().replace("A B", "a b"), b"--a b\r\n\r\n" + OBJECT + b"\r\n--a b--"),
        ("multipart/related", OBJECT),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.1", OBJECT),
    ],
)
def test_one_object_is_found(kind: str, body: bytes) -> None:
    assert object_in(kind, body) == OBJECT


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (KIND, b"--a b\r\n\r\n1\r\n--a b\r\n\r\n2\r\n--a b--"),
        (KIND, b"--other\r\n\r\n" + OBJECT),
        (KIND, b"--a b--"),
        ("text/html", b"<html>"),
        ("", OBJECT),
    ],
    ids=["two objects", "no delimiter", "no part", "a page", "no type"],
)
def test_anything_else_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(ValueError):
        object_in(kind, body)
