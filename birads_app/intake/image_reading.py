"""Read the images of an upload side by side: prepare, predict and write each into a draft folder."""

import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydicom.dataset import Dataset

from birads_app.deid.prepare import prepare
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging import quality
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis
from birads_app.imaging.limits import PIXEL_BUDGET
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.repetition import fingerprint
from birads_app.intake.study_grouping import StudyKey, study_key
from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.predictor import ModelSource, Predictor
from birads_app.records import files
from birads_app.records.derived_files import Material, preview_of
from birads_app.records.identities import Identity, Instance
from birads_app.terms.errors import InputError, NotAMammogram
from birads_app.terms.views import ViewRole

_THREADS_MAX = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ReadImage:
    """An image that is predicted and written into a draft.

    id : of the future image, and name of its folder in the draft
    name : of the file, as sent
    role : of the view in the exam
    width, height : in pixels
    material : for the files that are made after the answer
    header : the stored DICOM header; None for pictures, as are the next two
    identity, instance : from the uploaded header
    fingerprint : as :func:`birads_app.intake.repetition.fingerprint`
    """

    id: str
    name: str
    source: str
    view: str | None
    laterality: str | None
    role: ViewRole
    width: int
    height: int
    prediction: ImagePrediction
    material: Material = field(repr=False)
    header: Dataset | None
    identity: Identity | None
    instance: Instance | None
    fingerprint: str

    @property
    def study(self) -> StudyKey | None:
        """Key for grouping; None for a picture, and for a DICOM file that states neither study nor patient."""
        return None if self.identity is None else study_key(self.identity)


@dataclass(frozen=True)
class RefusedImage:
    """A file that cannot be used; the error's traceback, which keeps the file's bytes in memory, is removed.

    other_picture : True for a picture without DICOM that is no mammogram, such as a logo
    """

    name: str
    error: InputError
    other_picture: bool


class ImageReader:
    """Way to read the images of an upload, all with one model.

    draft : folder into which images are written
    pseudonyms : of the site; None to store files as received
    """

    def __init__(
        self, models: ModelSource, draft: Path, pseudonyms: Pseudonyms | None, tomosynthesis: Tomosynthesis
    ) -> None:
        self.draft = draft
        self._models = models
        self._pseudonyms = pseudonyms
        self._tomosynthesis = tomosynthesis
        self._predictor: Predictor | None = None
        self._lock = threading.Lock()

    @property
    def predictor(self) -> Predictor:
        """The model, got for the first usable image: an unusable one has its reason also without a model.

        Raises
        ------
        NoModel, BundleError
            As :meth:`birads_app.model.predictor.ModelSource.get`.
        """
        with self._lock:
            if self._predictor is None:
                self._predictor = self._models.get()
            return self._predictor

    def read_all(self, sent: Iterable[SourceFile]) -> Iterator[ReadImage | RefusedImage]:
        """Read files on several threads while further ones arrive; yield the results in the order of the files."""
        return side_by_side(self.read, sent, _pool(), ahead=_threads() + 1)

    def read(self, file: SourceFile) -> ReadImage | RefusedImage:
        """Read one file."""
        try:
            with PIXEL_BUDGET.taking(file.pixels):
                return self._read(file)
        except InputError as error:
            other_picture = isinstance(error, NotAMammogram) and file.format != "DICOM"
            return RefusedImage(file.name, error.with_traceback(None), other_picture)

    def _read(self, file: SourceFile) -> ReadImage:
        prepared = prepare(file, self._pseudonyms, self._tomosynthesis)
        mammogram = prepared.mammogram
        image_id = uuid.uuid4().hex
        files.write_original(self.draft, image_id, mammogram.source, prepared.chunks)
        warnings = quality.check(mammogram)  # an unsuitable image is refused as such also without a model
        prediction, feature_map = self.predictor.examine(mammogram, warnings)
        height, width = mammogram.pixels.shape
        return ReadImage(
            id=image_id,
            name=file.name,
            source=mammogram.source,
            view=mammogram.view,
            laterality=mammogram.laterality,
            role=mammogram.role,
            width=width,
            height=height,
            prediction=prediction,
            material=Material(preview_of(mammogram.pixels), feature_map, prepared.uncompressed),
            header=prepared.header,
            identity=prepared.identity,
            instance=prepared.instance,
            fingerprint=fingerprint(file.data, mammogram, prepared.identity, prepared.instance),
        )


def side_by_side(
    step: Callable[[Item], Result], items: Iterable[Item], pool: ThreadPoolExecutor, ahead: int
) -> Iterator[Result]:
    """Apply a step to items on the threads of a pool; yield the results in order.

    Items are taken while earlier ones are worked on; up to ``ahead`` are unfinished at a time. If the caller stops
    early or a step fails, steps that have begun are awaited.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(step, item))
            del item  # as large as an image
            while len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        wait(waiting)


@cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads of this process."""
    return ThreadPoolExecutor(_threads(), "images")


def _threads() -> int:
    """Return the number of threads: one for each core, because decoders compute outside of Python's lock."""
    return min(_THREADS_MAX, os.cpu_count() or 1)
