"""Files that are made to take time or memory, sent to a running server beside ordinary uploads."""

import argparse
import io
import secrets
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator

from pydicom.uid import DeflatedExplicitVRLittleEndian

from bench import clients, exam, worker
from bench.measurement import Measurement
from tests.support import dicom_files
from tests.support.factories import breast

REQUIRED_S, REQUIRED_MB, REQUIRED_DELAY_S = 5.0, 500.0, 2.0
_GIB = 1000 << 20
_STRIPS = 32_769
_PIECE = bytes(1 << 20)


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Send each file while another account uploads an exam over and over."""
    boundary = secrets.token_hex(16)
    ordinary = worker.multipart(exam.film_exam(exam.FILMS[:1]), boundary)
    with worker.serving(options.models) as served:
        other = served.add_account("other")
        usual = max(_seconds(served, other, ordinary, boundary) for _ in range(5))
        delays: list[float] = []
        ended = threading.Event()

        def go_on() -> None:
            while not ended.is_set():
                delays.append(_seconds(served, other, ordinary, boundary) - usual)

        watcher = threading.Thread(target=go_on)
        watcher.start()
        for name, data in bombs():
            body = worker.multipart([(name, data)], boundary)
            start = time.monotonic()
            answer = clients.send(served.port, served.token, body, boundary)
            seconds = time.monotonic() - start
            refused = answer.status in (413, 415, 422)
            what = f"{name}, {len(data) / 1e6:.1f} MB, answered {answer.status}, s"
            yield Measurement(what, seconds, None, seconds if refused else float("inf"), most=REQUIRED_S)
        ended.set()
        watcher.join()
        served.settle()
        peak = served.peak_mb()
    delay = max(delays)
    yield Measurement(
        "longest delay of another account's uploads, s", delay, None, delay, most=REQUIRED_DELAY_S
    )
    yield Measurement("largest peak memory of a process, MB", peak, None, peak, most=REQUIRED_MB)


def _seconds(served: worker.Served, token: str, body: bytes, boundary: str) -> float:
    start = time.monotonic()
    answer = clients.send(served.port, token, body, boundary)
    if answer.status != 201:
        raise RuntimeError(f"An ordinary upload was answered with {answer.status}: {answer.content[:300]!r}")
    return time.monotonic() - start


def bombs() -> Iterator[tuple[str, bytes]]:
    """Yield names and contents."""
    for name, method in (("deflated.zip", zipfile.ZIP_DEFLATED), ("bzip2.zip", zipfile.ZIP_BZIP2)):
        yield name, _archive(method)
    yield "strips.tif", _tiff()
    yield "deflated.dcm", _deflated()


def _archive(method: int) -> bytes:
    """Return a ZIP archive of four members with 1,000 MiB of zeros each."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for number in range(4):
            with archive.open(f"IM{number}", "w") as member:
                for _ in range(_GIB >> 20):
                    member.write(_PIECE)
    return stream.getvalue()


def _tiff() -> bytes:
    """Return a TIFF whose strips all are the whole image."""
    width = height = 1000
    pixels = bytes(width * height)
    offsets, counts = (struct.pack(f"<{_STRIPS}I", *[value] * _STRIPS) for value in (8, len(pixels)))
    where = 8 + len(pixels)
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, _STRIPS, where), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, _STRIPS, where + len(offsets)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    start = struct.pack("<I", where + len(offsets) + len(counts))
    return b"II*\0" + start + pixels + offsets + counts + directory


def _deflated() -> bytes:
    """Return a deflated DICOM file whose header is followed by 4,000 MiB of zeros."""
    good = dicom_files.as_bytes(dicom_files.dataset(breast(160, 128)), DeflatedExplicitVRLittleEndian)
    start = 132 + 12 + int.from_bytes(good[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(zlib.decompress(good[start:], -zlib.MAX_WBITS))
    return good[:start] + body + b"".join(packer.compress(_PIECE) for _ in range(4000)) + packer.flush()
