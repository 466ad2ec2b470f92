"""Files made from an exam's images after the answer: display and thumbnail, heat maps, compressed originals.

:mod:`birads_app.records.derivation_queue` has them made from what the reading has left in memory. A marker beside the
exam's folder, a locked file, says that a process makes them; whoever asks for one waits for it. Of a marker that no
process holds, and of a file that is missing for another reason, they are made from the original.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flask import current_app
from pydicom.uid import ExplicitVRLittleEndian

from birads_app.compute.pool import ComputePool
from birads_app.compute.turns import Urgency
from birads_app.files import atomic
from birads_app.imaging.decode import decode
from birads_app.imaging.dicom import parser, part10, pixel_data
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis
from birads_app.model import preprocess
from birads_app.model.occlusion import render_heat_maps
from birads_app.model.predictor import Predictor
from birads_app.model.preprocess import InputSize, ModelInput
from birads_app.records import checksums, files, shared_locks
from birads_app.records.schema import Image
from birads_app.terms.errors import BiradsError, ModelError
from birads_app.terms.messages import msg

_MARKER = ".deriving-"
_POLL_S = 0.02
_LOCK = "derived.lock"


@dataclass(frozen=True)
class Material:
    """Source of an image's derived files, besides those in its folder.

    seen : input of the model
    uncompressed : True if the original's pixels were changed, and are stored without compression for now
    """

    seen: ModelInput
    uncompressed: bool


def marker(root: Path, exam_id: str) -> Path:
    """Return the file that exists until an exam's derived files are made."""
    return root / f"{_MARKER}{exam_id}"


def marker_name(exam_id: str) -> str:
    """Return the name of the lock of an exam's :func:`marker`."""
    return f"images/{_MARKER}{exam_id}"


def markers(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield each marker with its exam's id."""
    for path in sorted(root.glob(f"{_MARKER}*")):
        yield path, path.name.removeprefix(_MARKER)


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
    while not expected.is_file() and shared_locks.of_app().is_held(marker_name(image.exam_id)):
        time.sleep(_POLL_S)
    if not expected.is_file() and not files.fetch(image, kind):
        restore(image, Urgency.READER)
        files.keep(image.exam_id, [one.id for one in image.exam.images])
    return files.path(image, kind)


def restore(image: Image, urgency: Urgency) -> None:
    """Make the missing derived files of an image from its original; heat maps only if their model still serves."""
    compute: ComputePool = current_app.extensions["birads_compute"]
    tomosynthesis = current_app.extensions["birads_settings"].tomosynthesis
    folder, original, predictor = files.folder(image), files.path(image, "original"), _predictor_of(image)
    kinds = ["display", "thumb"]
    if predictor is not None:
        kinds += [f"heat-{code}" for code in image.prediction.probabilities]
    with shared_locks.of_app().exclusive(files.lock_name(image, _LOCK), remove=True):
        if all(files.expected_path(image, kind).is_file() for kind in kinds):
            return  # another process has made them
        size = None if predictor is None else predictor.bundle.size
        seen = compute.run(read_again, original, tomosynthesis, size, urgency=urgency)
        if predictor is not None and seen is not None:
            asked = predictor.at(urgency)
            compute.run(draw_heat_maps, folder, seen, asked.heat_maps(seen), urgency=urgency)


def _predictor_of(image: Image) -> Predictor | None:
    """Return the model that has read an image; None if it does not serve any more."""
    try:
        predictor: Predictor = current_app.extensions["birads_models"].get()
    except ModelError:
        return None
    return predictor if predictor.bundle.name == image.exam.model else None


def make_all(
    exam: Path,
    materials: Mapping[str, Material],
    predictor: Predictor,
    compute: ComputePool,
    wait: Callable[[], None],
) -> None:
    """Make all files of an exam, those that are looked at first before the others.

    Parameters
    ----------
    exam : its folder
    materials : by image id
    wait : called before each of those that are looked at later
    """
    for image_id in materials:
        compute.run(files.finish_previews, exam / image_id)
    for image_id, material in materials.items():
        wait()
        heat_maps = predictor.heat_maps(material.seen)
        compute.run(draw_heat_maps, exam / image_id, material.seen, heat_maps)
    for image_id, material in materials.items():
        if material.uncompressed:
            wait()
            compute.run(compress, exam / image_id)


def read_again(original: Path, tomosynthesis: Tomosynthesis, size: InputSize | None) -> ModelInput | None:
    """Write the previews of a stored original; return the model's input of the given size, if one is given."""
    mammogram = decode(original.read_bytes(), "", tomosynthesis)
    files.write_previews(original.parent, files.reduced(mammogram.pixels, files.DISPLAY_MAX))
    return None if size is None else preprocess.prepare(mammogram, size)


def draw_heat_maps(folder: Path, seen: ModelInput, heat_maps: Mapping[str, np.ndarray]) -> None:
    """Write the heat map of each category."""
    for code, picture in render_heat_maps(seen, heat_maps).items():
        files.write_heat_map(folder, code, picture)


def compress(folder: Path) -> None:
    """Replace an original in Explicit VR Little Endian by one with RLE Lossless, and write its checksum.

    An original that differs from its checksum stays as it is; raises BiradsError.
    """
    original = files.dicom_original(folder)
    data, accepted = original.read_bytes(), checksums.read(folder)
    before = hashlib.sha256(data).hexdigest()
    if accepted and before not in accepted:
        raise BiradsError(msg("original-changed"))
    file = parser.parse(data)
    if file.pixels.syntax != ExplicitVRLittleEndian:
        return
    chunks = part10.encode_rle(file.dataset, [pixel_data.raw_pixels(file)])
    with atomic.replacing(original) as part:
        atomic.write_synced(part, *chunks)
        digest = checksums.of_file(part)
        checksums.write(original, {before, digest})
    checksums.write(original, {digest})
