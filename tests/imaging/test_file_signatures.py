"""Files that are no images are recognised by their content, named when refused, and skipped beside images."""

import bz2
import gzip
import io
import lzma
import sqlite3
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from birads_app.imaging.decode import decode
from birads_app.imaging.file_signatures import HEAD, recognise
from birads_app.intake.companions import kind_of_head
from birads_app.terms.errors import UnsupportedFormat


def picture(form: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(stream, form)
    return stream.getvalue()


def archive(*members: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for member in members:
            made.writestr(member, "content")
    return stream.getvalue()


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        made.addfile(tarfile.TarInfo("IM1"))
    return stream.getvalue()


def sqlite(folder: Path) -> bytes:
    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute("CREATE TABLE exams (id)")
    return (folder / "a.db").read_bytes()


def array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros((4, 4)))
    return stream.getvalue()


COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)
BINARY = bytes(range(256))
KNOWN = {
    "Windows program": (b"MZ\x90\x00" + BINARY, "program", "Windows program"),
    "Linux program": (b"\x7fELF\x02\x01\x01" + BINARY, "program", "This is a program."),
    "macOS program": (b"\xcf\xfa\xed\xfe\x07\x00\x00\x01" + BINARY, "program", "program for macOS"),
    "macOS program for two processors": (
        b"\xca\xfe\xba\xbe\x00\x00\x00\x02" + BINARY,
        "program",
        "program for macOS",
    ),
    "Java class": (b"\xca\xfe\xba\xbe\x00\x00\x00\x34" + BINARY, "program", "program for Java"),
    "Java archive": (archive("META-INF/MANIFEST.MF", "Viewer.class"), "program", "program for Java"),
    "Java archive without a manifest": (archive("com/viewer/Main.class"), "program", "program for Java"),
    "CAB": (b"MSCF\x00\x00\x00\x00" + BINARY, "archive", "CAB archive"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c" + BINARY, "archive", "7-Zip archive"),
    "RAR": (b"Rar!\x1a\x07\x01\x00" + BINARY, "archive", "RAR archive"),
    "gzip": (gzip.compress(BINARY), "archive", "gzip archive"),
    "bzip2": (bz2.compress(BINARY), "archive", "bzip2 archive"),
    "XZ": (lzma.compress(BINARY), "archive", "XZ archive"),
    "tar": (tar(), "archive", "tar archive"),
    "GIF": (picture("GIF"), "picture", "GIF image"),
    "ICO": (picture("ICO"), "picture", "type ICO"),
    "WebP": (picture("WEBP"), "picture", "type WebP"),
    "HEIC": (b"\x00\x00\x00\x18ftypheic" + BINARY, "picture", "type HEIC"),
    "SVG": (b'<?xml version="1.0"?>\n<!-- made -->\n<svg xmlns="x"></svg>', "picture", "type SVG"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "document", "PDF document"),
    "RTF": (rb"{\rtf1\ansi Dear colleague}", "document", "type RTF"),
    "Word": (archive("[Content_Types].xml", "word/document.xml"), "document", "office document"),
    "Writer": (archive("mimetype") + b"mimetypeapplication/vnd.oasis", "document", "office document"),
    "Word 97": (COMPOUND, "document", "office document"),
    "AVI": (b"RIFF\x00\x10\x00\x00AVI LIST" + BINARY, "audio", "type AVI"),
    "WAV": (b"RIFF\x00\x10\x00\x00WAVEfmt " + BINARY, "audio", "type WAV"),
    "MP4": (b"\x00\x00\x00\x18ftypmp42" + BINARY, "audio", "type MP4"),
    "QuickTime": (b"\x00\x00\x00\x14ftypqt  " + BINARY, "audio", "type QuickTime"),
    "WMV": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + BINARY, "audio", "type WMV"),
    "Thumbs.db": (COMPOUND + "Catalog".encode("utf-16-le"), "system", "type Thumbs.db"),
    ".DS_Store": (b"\x00\x00\x00\x01Bud1" + BINARY, "system", "type .DS_Store"),
    "AppleDouble": (b"\x00\x05\x16\x07\x00\x02\x00\x00" + BINARY, "system", "type AppleDouble"),
    "shortcut": (b"L\x00\x00\x00\x01\x14\x02\x00" + BINARY, "system", "type LNK"),
    "desktop.ini": ("\ufeff[.ShellClassInfo]\r\n".encode("utf-16-le"), "text", "text file"),
    "INF": (b"[autorun]\r\nopen=viewer.exe\r\n", "text", "text file"),
    "UTF-8 text": (
        "Sehr geehrte Kollegen, anbei die Aufnahmen: \u00e4\u00f6\u00fc".encode(),
        "text",
        "text file",
    ),
    "Windows-1252 text": ("Gru\u00df und Dank f\u00fcr die Aufnahmen".encode("cp1252"), "text", "text file"),
    "Greek text": (
        "\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1 \u03c3\u03b1\u03c2".encode(),
        "text",
        "text file",
    ),
    "HTML": (b"\xef\xbb\xbf<!DOCTYPE HTML>\n<html><body>Help</body></html>", "text", "type HTML"),
    "XHTML": (b'<?xml version="1.0"?>\n<html xmlns="x"></html>', "text", "type HTML"),
    "XML": (b'<?xml version="1.0"?>\n<study id="1"/>', "text", "type XML"),
    "text that begins like a program": (b"MZ Heidelberg, Befunde der Untersuchung", "text", "text file"),
    "text that begins like a font": (b"OTTO, HANS: mammography of 2024", "text", "text file"),
}
# Beside images these may be meant as images, so that they are refused and not skipped.
MEANT = {
    "NumPy": (array(), "NumPy array"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + BINARY, "type HDF5"),
    "JPEG 2000": (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + BINARY, "JPEG 2000"),
    "PPM": (picture("PPM"), "PPM"),
    "PPM as text": (b"P3\n2 1\n255\n0 0 0 9 9 9\n", "PPM"),
}


def refusal(data: bytes) -> str:
    with pytest.raises(UnsupportedFormat) as caught:
        decode(data)
    return str(caught.value)


@pytest.mark.parametrize("name", KNOWN)
def test_a_file_that_is_no_image_is_skipped_by_kind_and_named_when_refused(name: str) -> None:
    data, kind, sentence = KNOWN[name]
    found = recognise(data[:HEAD])
    assert found is not None and found.kind is not None
    assert kind in found.kind and sentence in found.refusal
    assert kind_of_head("FILE0001", data[:HEAD]) == found.kind
    assert refusal(data) == f"{found.refusal} Accepted formats: DICOM, PNG, JPEG, TIFF, BMP and PGM."


def test_a_database_is_skipped(tmp_path: Path) -> None:
    data = sqlite(tmp_path)
    assert kind_of_head("FILE0001", data[:HEAD]) == "system file"
    assert "type SQLite" in refusal(data)


@pytest.mark.parametrize("name", MEANT)
def test_an_image_in_another_format_is_refused_by_name_also_beside_images(name: str) -> None:
    data, sentence = MEANT[name]
    assert kind_of_head("FILE0001", data[:HEAD]) is None
    assert sentence in refusal(data)


def test_a_zip_archive_may_hold_images() -> None:
    data = archive("IM1", "IM2")
    assert kind_of_head("FILE0001", data[:HEAD]) is None
    assert "This is a ZIP archive." in refusal(data)


@pytest.mark.parametrize("data", [bytes(2000), b"\xfe" * 2000, BINARY, BINARY[::-1]])
def test_other_content_has_no_type(data: bytes) -> None:
    assert recognise(data) is None
    assert "format is unknown" in refusal(data)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP"])
def test_a_readable_picture_is_not_skipped(form: str) -> None:
    assert kind_of_head("FILE0001", picture(form)[:HEAD]) is None


def test_an_svg_image_may_declare_its_entities() -> None:
    doctype = b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "a.dtd" [\n<!ENTITY ns_svg "http://x">\n]>\n'
    found = recognise(b'<?xml version="1.0"?>\n<!-- made > by -->\n' + doctype + b"<svg>")
    assert found is not None and found.refusal == "This is a file of type SVG."


def test_a_prologue_with_many_ends_is_recognised_at_once() -> None:
    start = time.process_time()
    for _ in range(20):
        recognise((b"<?xml" + b"><!----><!doctype svg>" * 400)[:4096])
    assert time.process_time() - start < 1
