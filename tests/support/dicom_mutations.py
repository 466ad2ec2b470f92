"""Damaged files of every kind, each read in a separate process.

:func:`try_many` draws damages with Hypothesis, has each damaged file read as an upload is, and asserts that it yields
a mammogram or an error that names the fault, within the limits of time and memory.
"""

import io
import multiprocessing
import os
import random
import resource
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filereader import data_element_generator
from pydicom.sequence import Sequence

from bench.worker import peak_mb
from tests.support import dicom_files
from tests.support.dicom_matrix import ROWS
from tests.support.factories import breast

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom"
SECONDS, MEGABYTES = 10.0, 1024  # processor time; peak of the whole process
# so many are the same each time, that a run of the tests can be repeated; more are others each time
ORDINARY = 500
_PATIENCE = 60.0  # seconds on the clock, on a machine that does other work too
_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
_VRS = (
    b"US",
    b"UL",
    b"SS",
    b"DS",
    b"IS",
    b"CS",
    b"SQ",
    b"OW",
    b"OB",
    b"UN",
    b"FD",
    b"AT",
    b"UT",
    b"LO",
    b"ZZ",
)
_LENGTHS = (0, 1, 2, 3, 7, 255, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_VALUES = (b"\0", b"\xff", b"9", b"-", b"1\\", b" ", b"\x01\x80", b"nan", b"1e999")


@dataclass(frozen=True)
class Source:
    """A good file: everything before the data set, and the data set, inflated where the file is deflated.

    spans : (start, end) of each element of the data set
    starts : where each one's value starts
    """

    before: bytes
    body: bytes
    deflated: bool
    spans: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]


@dataclass(frozen=True)
class Damage:
    """A kind of damage to a file; ``place``, ``choice`` and ``grain`` are numbers whose meaning depends on it."""

    source: str
    kind: str
    place: int
    choice: int
    grain: int


@dataclass(frozen=True)
class Outcome:
    """Result of reading a file: its name, the CPU seconds it took, and the peak memory in MB so far."""

    name: str
    seconds: float
    megabytes: float


# ---- good files


@cache
def built() -> dict[str, Source]:
    """A breast in every transfer syntax, and objects with sequences, slices and faulty headers."""
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for row in ROWS:
            bits = 12 if 12 in row.bits else 8
            raw = (breast(160, 128) >> (16 - bits)).astype(np.uint16 if bits > 8 else np.uint8)
            depth = {"BitsStored": bits, "HighBit": bits - 1}
            if row.syntax.is_encapsulated:
                files[row.syntax.name] = dicom_files.compressed(raw, row.syntax, Path(folder), **depth)
            else:
                files[row.syntax.name] = dicom_files.as_bytes(rich(raw), row.syntax)
    files["tomosynthesis"] = dicom_files.as_bytes(volume(None))
    files["tomosynthesis, JPEG 2000"] = dicom_files.as_bytes(
        volume(uid.JPEG2000Lossless), uid.JPEG2000Lossless
    )
    files["no preamble"] = files[uid.ExplicitVRLittleEndian.name][132:]
    return {name: taken_apart(data) for name, data in files.items()}


@cache
def real() -> dict[str, Source]:
    """The real files of ``../shared/data``, if present."""
    return {path.name: taken_apart(path.read_bytes()) for path in sorted(REAL.glob("*.dcm"))}


def rich(raw: np.ndarray) -> Dataset:
    """Build a mammogram with nearly every element that is read."""
    table, code, modifier = Dataset(), Dataset(), Dataset()
    table.add_new("LUTDescriptor", "US", [4096, 0, 12])
    table.add_new("LUTData", "US", list(range(4096)))
    modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = (
        "399163009",
        "SCT",
        "Magnification",
    )
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399162004", "SCT", "cranio-caudal"
    code.ViewModifierCodeSequence = Sequence([modifier])
    return dicom_files.dataset(
        raw,
        BitsStored=12,
        HighBit=11,
        ViewCodeSequence=Sequence([code]),
        VOILUTSequence=Sequence([table]),
        WindowCenter=[2048, 1000],
        WindowWidth=[4096, 500],
        VOILUTFunction="SIGMOID",
        RescaleSlope=1,
        RescaleIntercept=0,
        PixelPaddingValue=0,
        PixelPaddingRangeLimit=3,
        PixelSpacing=[0.07, 0.07],
        PatientOrientation=["A", "R"],
        EstimatedRadiographicMagnificationFactor=1.8,
    )


def volume(syntax: str | None) -> Dataset:
    """Three slices of tomosynthesis; uncompressed, or in JPEG 2000."""
    frames = [breast(160, 128, seed=number) >> 4 for number in range(3)]
    anatomy, window, group = Dataset(), Dataset(), Dataset()
    anatomy.FrameLaterality = "L"
    window.WindowCenter, window.WindowWidth = 2048, 4096
    group.FrameAnatomySequence, group.FrameVOILUTSequence = Sequence([anatomy]), Sequence([window])
    made = dicom_files.dataset(
        frames[0],
        BitsStored=12,
        HighBit=11,
        SOPClassUID=_TOMOSYNTHESIS,
        NumberOfFrames=3,
        SharedFunctionalGroupsSequence=Sequence([group]),
    )
    if syntax is None:
        made.PixelData = b"".join(one.tobytes() for one in frames)
    else:
        made.PixelData = encapsulate([dicom_files.encode_jpeg_2000(one, bits_stored=12) for one in frames])
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return made


def taken_apart(data: bytes) -> Source:
    """Find a file's elements."""
    meta = 132 if data[128:132] == b"DICM" else 0
    start = meta + 12 + int.from_bytes(data[meta + 8 : meta + 12], "little")
    declared = dicom_files.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True).file_meta
    syntax = declared.TransferSyntaxUID
    body = data[start:]
    if deflated := syntax == uid.DeflatedExplicitVRLittleEndian:
        body = zlib.decompress(body, -zlib.MAX_WBITS)
    starts, headers = [], []
    stream = io.BytesIO(body)
    implicit, little = syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian
    position = 0
    for element in data_element_generator(stream, implicit, little):
        headers.append(position)
        starts.append(getattr(element, "value_tell", None) or element.file_tell or position + 8)
        position = stream.tell()
    spans = tuple(zip(headers, [*headers[1:], len(body)], strict=True))
    return Source(data[:start], body, deflated, spans, tuple(starts))


# ---- damage


def damaged(damage: Damage) -> bytes:
    """The bytes of a damaged file."""
    source = {**built(), **real()}[damage.source]
    kind = MUTATIONS[damage.kind]
    if kind in (_cut, _flipped):
        return bytes(kind(bytearray(whole(source, source.body)), damage))
    index = len(source.spans) - 1 if kind is _recoded else damage.place % len(source.spans)
    (start, end), value = source.spans[index], source.starts[index]
    body = bytearray(source.body)
    body[start:end] = kind(body[start:end], damage, value - start)
    return whole(source, bytes(body))


def whole(source: Source, body: bytes) -> bytes:
    if source.deflated:
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = packer.compress(body) + packer.flush()
    return source.before + body


def _removed(_element: bytearray, _damage: Damage, _value: int) -> bytes:
    return b""


def _of_another_type(element: bytearray, damage: Damage, _value: int) -> bytes:
    element[4:6] = _VRS[damage.choice % len(_VRS)]
    return bytes(element)


def _of_forged_length(element: bytearray, damage: Damage, value: int) -> bytes:
    length = _LENGTHS[damage.choice % len(_LENGTHS)]
    size = 2 if value == 8 and element[4:6].isalpha() else 4
    element[value - size : value] = (length & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return bytes(element)


def _of_another_value(element: bytearray, damage: Damage, value: int) -> bytes:
    length = len(element) - value
    chosen = (*_VALUES, random.Random(damage.grain).randbytes(64))[damage.choice % (len(_VALUES) + 1)]
    return bytes(element[:value]) + (chosen * (length // len(chosen) + 1))[:length]


def _recoded(element: bytearray, damage: Damage, _value: int) -> bytes:
    """Change up to eight bytes of the pixel data: anywhere, or near the start, where a codestream's header is."""
    return bytes(_flipped(element, replace(damage, choice=damage.choice // 2), reach=400))


def _cut(file: bytearray, damage: Damage) -> bytearray:
    return file[: damage.place % len(file)]


def _flipped(file: bytearray, damage: Damage, reach: int = 2000) -> bytearray:
    """Change up to eight bytes: anywhere, or near the start, where the header is."""
    generator = random.Random(damage.grain)
    reach = len(file) if damage.choice % 2 else min(len(file), reach)
    for _ in range(1 + damage.place % 8):
        file[generator.randrange(reach)] = generator.randrange(256)
    return file


MUTATIONS: dict[str, Callable[..., bytes | bytearray]] = {
    "element removed": _removed,
    "type wrong": _of_another_type,
    "length forged": _of_forged_length,
    "value out of range": _of_another_value,
    "cut off": _cut,
    "bytes changed": _flipped,
    "pixel data changed": _recoded,
}


def damages() -> st.SearchStrategy[Damage]:
    """Draw damages to generated files, and sometimes to a real one, which takes longer to read."""
    large = st.integers(0, (1 << 32) - 1)
    small = sorted(built())
    names = st.integers(0, 99).flatmap(
        lambda draw: st.sampled_from(sorted(real()) if draw == 17 and real() else small)
    )
    return st.builds(Damage, names, st.sampled_from(sorted(MUTATIONS)), large, st.integers(0, 59), large)


# ---- judgement


class Reader:
    """A process that reads files; it is replaced after a crash or a timeout."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()  # it has imported all it needs

    def ask(self, data: bytes) -> Outcome:
        """Have a file read."""
        try:
            self._connection.send_bytes(data)
            if self._connection.poll(_PATIENCE):
                return self._connection.recv()
            name = "hung"
        except (EOFError, ConnectionError):
            name = "crashed"
        self.close()
        self._start()
        return Outcome(name, 0.0, 0.0)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def _serve(connection: Connection) -> None:
    """Read files as an upload is read, up to the model's input."""
    from birads_app.imaging import quality
    from birads_app.imaging.decode import decode
    from birads_app.model import preprocess
    from birads_app.terms.errors import InputError

    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    connection.send("ready")
    while True:
        data = connection.recv_bytes()
        started = time.process_time()
        try:
            mammogram = decode(data)
            notes = (*mammogram.notes, *quality.check(mammogram))
            preprocess.prepare(mammogram, preprocess.DEFAULT_SIZE)
            name = "read with a warning" if notes else "read"
        except InputError as error:
            name = type(error).__name__
        except BaseException as error:
            name = f"raised {type(error).__name__}"
        # The kernel's high-water mark; getrusage's is inherited from the process that started this one.
        connection.send(Outcome(name, time.process_time() - started, peak_mb(os.getpid())))


def try_many(number: int) -> Counter[tuple[str, str]]:
    """Read ``number`` damaged files; return counts by (damage, outcome).

    Raises AssertionError with the smallest damage that shows a fault.
    """
    counts: Counter[tuple[str, str]] = Counter()
    reader = Reader()

    @settings(
        max_examples=number,
        deadline=None,
        derandomize=number <= ORDINARY,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(damages())
    def judge(damage: Damage) -> None:
        outcome = reader.ask(damaged(damage))
        assert not outcome.name.startswith(("hung", "crashed", "raised")), outcome
        assert outcome.seconds < SECONDS and outcome.megabytes < MEGABYTES, outcome
        counts[damage.kind, outcome.name] += 1

    try:
        judge()
    finally:
        reader.close()
    return counts
