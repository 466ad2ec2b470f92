"""Files made from an exam's images after the answer: display and thumbnail, heat maps, compressed originals.

They are made on a thread of their own from what the reading has left in memory. A marker beside the exam's folder says
that they are being made; whoever asks for one waits for it. If the process has ended meanwhile, they are made from the
original.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from flask import current_app
from pydicom.uid import ExplicitVRLittleEndian

from birads_app.compute.pool import ComputePool
from birads_app.files import atomic, locks
from birads_app.imaging.decode import decode
from birads_app.imaging.dicom import parser, part10, pixel_data
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis
from birads_app.logs import RequestThreads, where
from birads_app.model import preprocess
from birads_app.model.occlusion import FeatureMap, render_heat_maps
from birads_app.model.predictor import Predictor
from birads_app.model.preprocess import ModelInput
from birads_app.monitoring import instruments
from birads_app.records import checksums, files
from birads_app.records.schema import Image
from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg

log = logging.getLogger(__name__)

_MARKER = ".deriving-"
_POLL_S = 0.02
_LOCK = "derived.lock"


@dataclass(frozen=True)
class Material:
    """Source of an image's derived files, besides those in its folder.

    feature_map : of the prediction
    uncompressed : True if the original's pixels were changed, and are stored without compression for now
    """

    feature_map: FeatureMap
    uncompressed: bool


@dataclass(frozen=True)
class Announcement:
    """Mark of an exam whose derived files this process makes; the kernel releases its lock if the process ends."""

    exam_id: str
    materials: Mapping[str, Material]
    lock: int

    def withdraw(self) -> None:
        """Remove the mark."""
        marker(files.root(), self.exam_id).unlink(missing_ok=True)
        os.close(self.lock)

    def make_later(self, predictor: Predictor) -> None:
        """Make the files on a thread of their own, once the exam is stored."""
        _thread().submit(_make_all, files.root(), self, predictor, _compute())


def announce(exam_id: str, materials: Mapping[str, Material]) -> Announcement:
    """Mark an exam before it is stored.

    Parameters
    ----------
    materials : by image id
    """
    mark = marker(files.root(), exam_id)
    mark.unlink(missing_ok=True)  # of a process that ended
    lock = locks.inheritable(mark)
    assert lock is not None  # nobody else stores this exam
    announced = Announcement(exam_id, materials, lock)
    uncompressed = [image_id for image_id, material in materials.items() if material.uncompressed]
    try:
        os.write(lock, json.dumps(uncompressed).encode())
    except OSError:
        announced.withdraw()
        raise
    return announced


def path(image: Image, kind: str) -> Path:
    """Return the file of an image as :func:`birads_app.records.files.path`; wait for a derived file, or make it.

    Raises
    ------
    NotFound
        The kind is unknown, the original is missing, or the heat map's model does not serve any more.
    """
    if kind == "original":
        return files.path(image, kind)
    expected = files.expected_path(image, kind)
    while not expected.is_file() and locks.is_held(marker(files.root(), image.exam_id)):
        time.sleep(_POLL_S)
    if not expected.is_file():
        _restore(image)
    return files.path(image, kind)


def stop() -> None:
    """Finish the exam that is worked on, and leave the others to the next start and to whoever asks for their files."""
    _thread().shutdown(cancel_futures=True)


def finish_interrupted() -> None:
    """Compress the originals that ended processes left uncompressed; only call this while no process stores exams.

    An original that cannot be compressed is logged and stays as it is.
    """
    for mark in files.root().glob(f"{_MARKER}*"):
        exam = files.root() / mark.name.removeprefix(_MARKER)
        files.drop_previews(exam)
        try:
            for image_id in json.loads(mark.read_text() or "[]"):
                if (exam / image_id).is_dir():
                    _compute().run(compress, exam / image_id)
        except Exception as error:  # serving must start in any case
            log.error("Exam %s is stored uncompressed:\n%s", exam.name, where(error))
        mark.unlink()


def _make_all(root: Path, announced: Announcement, predictor: Predictor, compute: ComputePool) -> None:
    """Make all files of an exam, those that are looked at first before the others."""
    exam_id, materials, exam = announced.exam_id, announced.materials, root / announced.exam_id
    start = time.perf_counter()
    try:
        for image_id in materials:
            compute.run(files.finish_previews, exam / image_id)
        for image_id, material in materials.items():
            heat_maps = predictor.heat_maps(material.feature_map)
            compute.run(draw_heat_maps, exam / image_id, material.feature_map, heat_maps)
        for image_id, material in materials.items():
            if material.uncompressed:
                compute.run(compress, exam / image_id)
        instruments.observe_stage("derive", time.perf_counter() - start)
    except FileNotFoundError:
        log.info("Exam %s was deleted while its pictures were made", exam_id)
    except Exception as error:
        log.error("The pictures of exam %s are made when they are asked for:\n%s", exam_id, where(error))
    finally:
        marker(root, exam_id).unlink(missing_ok=True)
        os.close(announced.lock)


def _restore(image: Image) -> None:
    """Make the derived files of an image again from its original."""
    folder = files.folder(image)
    original = files.path(image, "original")
    predictor: Predictor = current_app.extensions["birads_models"].get()
    tomosynthesis = current_app.extensions["birads_settings"].tomosynthesis
    with locks.exclusive(folder / _LOCK, remove=True):
        compute = _compute()
        seen = compute.run(read_again, original, tomosynthesis, predictor.bundle.size, urgent=True)
        if predictor.bundle.name == image.exam.model:
            _, feature_map = predictor.examine_input(seen, ())
            heat_maps = predictor.heat_maps(feature_map)
            compute.run(draw_heat_maps, folder, feature_map, heat_maps, urgent=True)


def read_again(original: Path, tomosynthesis: Tomosynthesis, size: int) -> ModelInput:
    """Write the previews of a stored original; return the model's input of the given size."""
    mammogram = decode(original.read_bytes(), "", tomosynthesis)
    files.write_previews(original.parent, files.reduced(mammogram.pixels, files.DISPLAY_MAX))
    return preprocess.prepare(mammogram, size)


def draw_heat_maps(folder: Path, feature_map: FeatureMap, heat_maps: Mapping[str, np.ndarray]) -> None:
    """Write the heat map of each category."""
    for code, picture in render_heat_maps(feature_map, heat_maps).items():
        files.write_heat_map(folder, code, picture)


def compress(folder: Path) -> None:
    """Replace an original in Explicit VR Little Endian by one with RLE Lossless, without any other change.

    An original that differs from its checksum stays as it is; raises BiradsError.
    """
    original = files.dicom_original(folder)
    data, accepted = original.read_bytes(), checksums.read(folder)
    if accepted and hashlib.sha256(data).hexdigest() not in accepted:
        raise BiradsError(msg("original-changed"))
    file = parser.parse(data)
    if file.pixels.syntax != ExplicitVRLittleEndian:
        return
    chunks = part10.encode_rle(file.dataset, [pixel_data.raw_pixels(file)])
    with atomic.replacing(original) as part:
        atomic.write_synced(part, *chunks)
        digest = checksums.of_file(part)
        if accepted:
            checksums.write(original, {*accepted, digest})
    if accepted:
        checksums.write(original, {digest})


def _compute() -> ComputePool:
    pool: ComputePool = current_app.extensions["birads_compute"]
    return pool


def marker(root: Path, exam_id: str) -> Path:
    """Return the file that exists while an exam's derived files are made."""
    return root / f"{_MARKER}{exam_id}"


@cache
def _thread() -> ThreadPoolExecutor:
    """Return this process's thread for derived files; the interpreter waits for it before it ends."""
    return RequestThreads(1, "derived")
