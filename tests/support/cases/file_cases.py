"""Cases of single files, and of files beside images."""

from collections.abc import Callable, Iterator
from functools import partial

from pydicom.uid import UID, generate_uid

from tests.support import contradictory_headers, dicom_files, faulty_files
from tests.support.case_site import CaseSite
from tests.support.cases.case import Case, four
from tests.support.faulty_files import Pair, built, plain
from tests.support.packing import stored, tarred

_JPEG_2000 = "JPEG 2000 Image Compression (Lossless Only)"
# What is given, the name of a pair of files, and what the answer is like.
_PAIRS = (
    (
        "VOI LUT of 4,096 entries up to 4,095 whose descriptor says 16 bits",
        "entries of 12 bits, described as 16",
        "as bright as with 12",
    ),
    (
        "Bits Stored 12, values of 14 bits, window of 14 bits",
        "14 bits declared as 12, a window",
        "as with 14",
    ),
    ("JPEG 2000 stream followed by 64 zero bytes", "JPEG 2000, 64 zeros behind", "as without them"),
    ("fill byte before the end of a JPEG-LS stream", "JPEG-LS, a fill byte", "as without it"),
    ("JPEG-LS stream under the UID of JPEG 2000", "JPEG-LS under JPEG 2000", "as under its own"),
    ("explicit elements under the implicit UID", "explicit under implicit", "as under their own"),
    ("window of width 1", "a window one wide", "as without a window"),
    ("MONOCHROME1 for an image of MONOCHROME2", "a negative as MONOCHROME1", "as with MONOCHROME2"),
)
_FURTHER_PAIRS = (
    (
        "VOI LUT with two 8-bit entries in a word, described as 16 bits",
        "packed, described as 16 bits",
        "as with 8",
    ),
    (
        "VOI LUT with a negative first value, unsigned",
        "a negative first value as unsigned",
        "as with a signed one",
    ),
    ("Bits Stored 0", "Bits Stored 0", "as with 12"),
    ("High Bit below Bits Stored", "High Bit 0", "as with 11"),
    ("signed values declared as unsigned", "signed declared as unsigned", "as declared signed"),
    ("big-endian elements under a compressed UID", f"big endian under {_JPEG_2000}", "as under their own"),
    ("deflated elements under the UID of RLE", "deflated under RLE Lossless", "as under their own"),
    ("no preamble", "no preamble", "as with one"),
    ("rescale slope 0", "slope 0", "as without rescaling"),
    ("padding value of tissue", "padding that is a value of tissue", "as without padding"),
)

Files = tuple[tuple[str, bytes], ...]


def file_cases() -> Iterator[Case]:
    """Cases in the order of the table."""
    pairs = contradictory_headers.all_pairs() | faulty_files.all_pairs()
    for slow, rows in ((False, _PAIRS), (True, _FURTHER_PAIRS)):
        for given, name, right in rows:
            noted = ", noted" if pairs[name].note else ""
            yield Case(given, right + noted, partial(_alike, pairs[name], right), slow=slow)
    for part in ("MAMMA", "UNKNOWN", "SENO", "Brüste"):
        pair = Pair(plain(Modality="CR", BodyPartExamined=part), plain())
        slow = part not in ("MAMMA", "UNKNOWN")
        yield Case(f"CR with body part {part}", "read as MG", partial(_alike, pair, "read as MG"), slow=slow)
    pair = Pair(plain(Modality="CR", BodyPartExamined=None), plain())
    yield Case("CR without a body part", "read as MG", partial(_alike, pair, "read as MG"), slow=True)
    yield from _refusals()
    yield from _uploads()


def _alike(pair: Pair, said: str, site: CaseSite) -> str:
    """Return ``said`` if both files of a pair give the same answer."""
    first, second = (site.exams(("a.dcm", data))[0]["images"][0] for data in (pair.faulty, pair.sound))
    noted = ", noted" if set(first["warnings"]) - set(second["warnings"]) else ""
    same = all(first[key] == second[key] for key in ("probabilities", "laterality", "view", "role"))
    return said + noted if same else f"another answer: {first['probabilities']}"


def _refusals() -> Iterator[Case]:
    private = built(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    del private.PixelData
    private.add_new(0x7E010010, "LO", "Vendor")
    private.add_new(0x7E011012, "OB", bytes(9000))
    for given, data, right in (
        (
            "slice of a tomosynthesis as CT object with modality MG",
            plain(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"),
            "single slice of a volume (CT Image Storage)",
        ),
        (
            "object with private frames only",
            dicom_files.as_bytes(private),
            "only private elements of the manufacturer",
        ),
        ("file that ends within the pixels", plain()[:-1000], "incomplete"),
        ("ultrasound image", plain(Modality="US"), "modality is US"),
    ):
        yield Case(given, f"refused: {right}", partial(_refused, data, right))


def _refused(data: bytes, phrase: str, site: CaseSite) -> str:
    status, answer = site.post(("a.dcm", data))
    if status == 201:
        return "read"
    return f"refused: {phrase if phrase in answer['error'] else answer['error']}"


def _uploads() -> Iterator[Case]:
    report, state = (_object(f"1.2.840.10008.5.1.4.1.1.{kind}") for kind in ("88.50", "11.1"))
    disc = (
        ("viewer.dll", b"MZ\x90\x00" + bytes(300)),
        ("viewer.jar", stored(("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0"))),
        ("start.bat", b"@echo off\r\nviewer.exe\r\n"),
        ("logo.gif", b"GIF89a" + bytes(100)),
    )
    programs = "skipped: program (2), text (1), other picture, such as GIF or icon (1)"
    rows: tuple[tuple[str, str, Callable[[Files], Files]], ...] = (
        (
            "four images with a CAD report and a presentation state",
            "skipped: structured report, such as CAD results (1), presentation state (1)",
            lambda views: (("SR", report), ("PR", state), *views),
        ),
        ("disc with .dll, .jar, .bat and .gif", programs, lambda views: (*disc, *views)),
        ("the same disc as a ZIP archive", programs, lambda views: (("disc.zip", stored(*disc, *views)),)),
        (
            "ZIP archive within a ZIP archive",
            "",
            lambda views: (("a.zip", stored(("b.zip", stored(*views)))),),
        ),
        ("tar archive", "", lambda views: (("a.tar", tarred(*views)),)),
        ("one image sent twice", "noted: received more than once", lambda views: (*views, views[0])),
    )
    for number, (given, note, pack) in enumerate(rows):
        right = "; ".join(filter(None, ("1 exam of 4 images", note)))
        yield Case(given, right, partial(_packed, pack), slow=number in (1, 4))


def _object(sop_class: str) -> bytes:
    """A DICOM object without pixels."""
    made = dicom_files.dataset(None, SOPClassUID=sop_class, Modality="OT")
    made.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    return dicom_files.as_bytes(made)


def _packed(pack: Callable[[Files], Files], site: CaseSite) -> str:
    """Send four views together with, or within, other files."""
    notes = {"Skipped, as they are not images of the exam: ": "skipped: ", "Received": "noted: received"}
    exams = site.exams(*pack(four(generate_uid())))
    found = [f"{len(exams)} exam of {' and '.join(str(len(exam['images'])) for exam in exams)} images"]
    for note in (note for exam in exams for note in exam["notes"]):
        beginning, short = next(one for one in notes.items() if note.startswith(one[0]))
        found.append(short + note.removeprefix(beginning).partition(" and used")[0].rstrip("."))
    return "; ".join(found)
