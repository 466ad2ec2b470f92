"""Types of files that are no images which can be read, recognised by their first bytes.

:mod:`birads_app.imaging.decode` names the type when it refuses a file, :mod:`birads_app.intake.companions` skips such
files beside images. Readable formats have their signatures in :mod:`birads_app.imaging.raster`.
"""

import codecs
import re
from dataclasses import dataclass

from birads_app.terms.messages import Message, msg

HEAD = 4096  # bytes that tell the type of a file

PROGRAM, TEXT, DOCUMENT = msg("kind-program"), msg("kind-text"), msg("kind-document")
PICTURE, MEDIA, SYSTEM, ARCHIVE = (
    msg("kind-picture"),
    msg("kind-media"),
    msg("kind-system"),
    msg("kind-archive"),
)


@dataclass(frozen=True)
class FileType:
    """Type of a file.

    kind : one of the kinds of this module; None for images in formats that are not read, because a user may mean them
    refusal : sentence that names the type
    """

    kind: Message | None
    refusal: Message


def _type(kind: Message | None, name: str) -> FileType:
    return FileType(kind, msg("file-of-type", type=name))


def _program(system: str) -> FileType:
    return FileType(PROGRAM, msg("program-for", system=system))


def _archive(name: str) -> FileType:
    return FileType(ARCHIVE, msg("archive-of-type", type=name))


ZIP = FileType(ARCHIVE, msg("zip-archive"))
GZIP, TAR = FileType(ARCHIVE, msg("gzip-archive")), _archive("tar")
_JAVA, _MACOS = _program("Java"), _program("macOS")
_OFFICE = FileType(DOCUMENT, msg("office-document"))
_TEXT_FILE = FileType(TEXT, msg("text-file"))
_MPEG, _MP3 = _type(MEDIA, "MPEG"), _type(MEDIA, "MP3")
_TRUETYPE = _type(SYSTEM, "TrueType")
_JPEG_2000 = FileType(None, msg("bare-jpeg-2000"))
_APPLE_DOUBLE = _type(SYSTEM, "AppleDouble")

# A text is none of these types, although it may begin with the same letters.
_SIGNATURES = (
    (b"MZ", FileType(PROGRAM, msg("windows-program"))),
    (b"\x7fELF", FileType(PROGRAM, msg("elf-program"))),
    (b"\xfe\xed\xfa\xce", _MACOS),
    (b"\xfe\xed\xfa\xcf", _MACOS),
    (b"\xce\xfa\xed\xfe", _MACOS),
    (b"\xcf\xfa\xed\xfe", _MACOS),
    (b"\xbe\xba\xfe\xca", _MACOS),
    (b"dex\n", _program("Android")),
    (b"\x00asm", _type(PROGRAM, "WebAssembly")),
    (b"FWS", _type(PROGRAM, "Flash")),
    (b"CWS", _type(PROGRAM, "Flash")),
    (b"MSCF", _archive("CAB")),
    (b"ISc(", _archive("InstallShield")),
    (b"\x1f\x8b", GZIP),
    (b"7z\xbc\xaf\x27\x1c", FileType(ARCHIVE, msg("seven-zip-archive"))),
    (b"Rar!\x1a\x07", FileType(ARCHIVE, msg("rar-archive"))),
    (b"BZh", _archive("bzip2")),
    (b"\xfd7zXZ\x00", _archive("XZ")),
    (b"\x28\xb5\x2f\xfd", _archive("Zstandard")),
    (b"GIF8", FileType(PICTURE, msg("gif-image"))),
    (b"\x00\x00\x01\x00", _type(PICTURE, "ICO")),
    (b"\x00\x00\x02\x00", _type(PICTURE, "CUR")),
    (b"icns", _type(PICTURE, "ICNS")),
    (b"8BPS", _type(PICTURE, "Photoshop")),
    (b"\xd7\xcd\xc6\x9a", _type(PICTURE, "WMF")),
    (b"\x01\x00\x00\x00\x58\x00\x00\x00", _type(PICTURE, "EMF")),
    (b"ITSF", _type(DOCUMENT, "CHM")),
    (b"?_\x03\x00", _type(DOCUMENT, "HLP")),
    (b"ID3", _MP3),
    (b"\xff\xfb", _MP3),
    (b"\xff\xf3", _MP3),
    (b"OggS", _type(MEDIA, "Ogg")),
    (b"fLaC", _type(MEDIA, "FLAC")),
    (b"MThd", _type(MEDIA, "MIDI")),
    (b"FLV\x01", _type(MEDIA, "Flash Video")),
    (b"\x1aE\xdf\xa3", _type(MEDIA, "Matroska")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _type(MEDIA, "WMV")),
    (b"\x00\x00\x01\xba", _MPEG),
    (b"\x00\x00\x01\xb3", _MPEG),
    (b"\x00\x05\x16\x07", _APPLE_DOUBLE),
    (b"\x00\x05\x16\x00", _APPLE_DOUBLE),
    (b"\x00\x00\x00\x01Bud1", _type(SYSTEM, ".DS_Store")),
    (b"bplist", _type(SYSTEM, "plist")),
    (b"SQLite format 3\x00", _type(SYSTEM, "SQLite")),
    (b"\x00\x01\x00\x00Standard ", _type(SYSTEM, "Access")),
    (b"L\x00\x00\x00\x01\x14\x02\x00", _type(SYSTEM, "LNK")),
    (b"\x00\x01\x00\x00\x00", _TRUETYPE),
    (b"ttcf", _TRUETYPE),
    (b"OTTO", _type(SYSTEM, "OpenType")),
    (b"wOF", _type(SYSTEM, "WOFF")),
    (b"\x00\x00\x00\x0cjP  ", _JPEG_2000),
    (b"\xff\x4f\xff\x51", _JPEG_2000),
    (b"\x93NUMPY", FileType(None, msg("numpy-array"))),
    (b"\x89HDF\r\n", _type(None, "HDF5")),
)
_CLASS_OR_MACOS = b"\xca\xfe\xba\xbe"
_OLDEST_CLASS = 45  # version of Java's class files; programs for macOS have the number of processors there
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_THUMBNAILS = "Catalog".encode("utf-16-le")
_ZIPPED = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
# Parts of the first name in ZIP files that are no archives of images.
_IN_ZIP = (
    (b"META-INF/", _JAVA),
    (b".class", _JAVA),
    (b"[Content_Types].xml", _OFFICE),
    (b"_rels/.rels", _OFFICE),
    (b"mimetype", _OFFICE),
)
# Type after "RIFF" and a length, and after the length of a first "ftyp" box.
_RIFF = {
    b"WEBP": _type(PICTURE, "WebP"),
    b"ACON": _type(PICTURE, "ANI"),
    b"AVI ": _type(MEDIA, "AVI"),
    b"WAVE": _type(MEDIA, "WAV"),
}
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"mif1", b"msf1"), _type(PICTURE, "HEIC")),
    b"avif": _type(PICTURE, "AVIF"),
    b"qt  ": _type(MEDIA, "QuickTime"),
}
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Each part can match in one way only, as a search through several ways would take long.
_PROLOGUE = (
    rb"(<\?xml[^>]*>\s*+)?+(<!--((?!-->).)*+-->\s*+)?+(<!doctype\s+svg[^>\[]*+(\[[^\]]*+\]\s*+)?+>\s*+)?"
)
# Types that are texts at least at the beginning.
_TEXTUAL = tuple(
    (re.compile(begin, re.IGNORECASE | re.DOTALL), known)
    for begin, known in (
        (rb"%PDF", FileType(DOCUMENT, msg("pdf-document"))),
        (rb"%!PS", _type(DOCUMENT, "PostScript")),
        (rb"\{\\rtf", _type(DOCUMENT, "RTF")),
        (rb"P[36]\s+\d+\s+\d+\s+\d+\s", FileType(None, msg("ppm-image"))),
        (_PROLOGUE + rb"<(!doctype\s+html|html|head|body)\b", _type(TEXT, "HTML")),
        (_PROLOGUE + rb"<svg\b", _type(PICTURE, "SVG")),
        (rb"<\?xml\b", _type(TEXT, "XML")),
    )
)
# Share of ASCII in texts in a code page of Western languages.
_MOSTLY = 0.7
_BEYOND_ASCII = bytes(range(128, 256))


def recognise(head: bytes) -> FileType | None:
    """Return the type of a file by its first bytes, best :data:`HEAD` of them; None if it is not recognised."""
    readable = head.replace(b"\x00", b"").lstrip(b"\xff\xfe\xef\xbb\xbf \t\r\n")
    textual = next((known for begin, known in _TEXTUAL if begin.match(readable)), None)
    if textual or _is_text(head):
        return textual or _TEXT_FILE
    return next((known for magic, known in _SIGNATURES if head.startswith(magic)), None) or _container(head)


def _is_text(head: bytes) -> bool:
    """Return True for text in UTF-8, UTF-16 or a code page of Western languages, without other control characters."""
    wide = head.startswith(_UTF_16)
    try:
        text = codecs.getincrementaldecoder("utf-16" if wide else "utf-8")().decode(head)
    except UnicodeDecodeError:
        if wide or len(head.translate(None, _BEYOND_ASCII)) < _MOSTLY * len(head):
            return False
        text = head.decode("latin-1")
    return bool(text) and all(letter >= " " or letter in "\t\n\r\f" for letter in text)


def _container(head: bytes) -> FileType | None:
    """Return the type of a file whose signature is shared by several types."""
    if head.startswith((_ZIPPED, _EMPTY_ZIP)):
        # The name of the first file: the beginning of an archive may contain another archive.
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return next((known for part, known in _IN_ZIP if part in name), ZIP)
    if head.startswith(_CLASS_OR_MACOS):
        return _JAVA if int.from_bytes(head[6:8], "big") >= _OLDEST_CLASS else _MACOS
    if head.startswith(_COMPOUND):
        return _type(SYSTEM, "Thumbs.db") if _THUMBNAILS in head else _OFFICE
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], FileType(MEDIA, msg("riff-file")))
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], _type(MEDIA, "MP4"))
    if head[4:8] in (b"moov", b"mdat"):
        return _BRANDS[b"qt  "]
    return TAR if head[257:262] == b"ustar" else None
