"""Read the images of an upload side by side: each is written into a draft folder and prepared in a process of its own.

The model answers in the server's process meanwhile.
"""

import threading
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from pydicom.dataset import Dataset

from birads_app.compute.pool import ComputePool
from birads_app.compute.side_by_side import side_by_side
from birads_app.compute.turns import Urgency
from birads_app.deid.identity import read_identity
from birads_app.deid.prepare import PreparedFile, prepare
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging import orientation, placement, quality
from birads_app.imaging.decode import Mammogram
from birads_app.imaging.dicom import parser
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis
from birads_app.imaging.placement import Placement
from birads_app.imaging.segmentation import coarse_mask, shrink_for_search
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.companions import Companion, companion_of
from birads_app.intake.repetition import fingerprint
from birads_app.intake.study_grouping import StudyKey, study_key
from birads_app.logs import RequestThreads
from birads_app.model import preprocess
from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.predictor import ModelSource, Predictor
from birads_app.model.preprocess import InputSize, ModelInput
from birads_app.monitoring import instruments
from birads_app.records import files, side_markers
from birads_app.records.derived_files import Material
from birads_app.records.identities import Identity, Instance
from birads_app.terms.errors import InputError, ModelError, NotAMammogram
from birads_app.terms.messages import Message, msg
from birads_app.terms.views import ViewRole


@dataclass(frozen=True)
class StoredHeader:
    """Elements of the stored header; "" if absent."""

    study_uid: str
    study_date: str
    sop_class: str
    sop_uid: str
    intent: str

    @classmethod
    def of(cls, header: Dataset) -> "StoredHeader":
        """Read the elements of a header."""
        names = (
            "StudyInstanceUID",
            "StudyDate",
            "SOPClassUID",
            "SOPInstanceUID",
            "PresentationIntentType",
        )
        return cls(*(parser.text(header, name) for name in names))


@dataclass(frozen=True)
class DraftedImage:
    """An image that is written into a draft, before its prediction.

    id : of the future image, and name of its folder in the draft
    name : of the file, as sent
    role : of the view in the exam
    width, height : in pixels
    placement : of the breast; None if it is unclear
    warnings : about the file and the image
    seen : input of the model; None if there is no model
    uncompressed : as in :class:`birads_app.records.derived_files.Material`
    header : of the stored DICOM file; None for pictures, as are the next two
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
    placement: Placement | None
    warnings: tuple[Message, ...]
    seen: ModelInput | None = field(repr=False)
    uncompressed: bool
    header: StoredHeader | None
    identity: Identity | None
    instance: Instance | None
    fingerprint: str


@dataclass(frozen=True)
class ReadImage:
    """An image that is written into a draft and predicted.

    material : for the files made after the answer
    set_laterality, set_view : as in :class:`birads_app.imaging.source_file.SourceFile`
    """

    drafted: DraftedImage
    prediction: ImagePrediction
    material: Material = field(repr=False)
    set_laterality: str | None = None
    set_view: str | None = None

    @property
    def name(self) -> str:
        """Name of the file, as sent."""
        return self.drafted.name

    @property
    def fingerprint(self) -> str:
        """As :func:`birads_app.intake.repetition.fingerprint`."""
        return self.drafted.fingerprint

    @property
    def instance(self) -> Instance | None:
        """UIDs of the uploaded header; None for pictures."""
        return self.drafted.instance

    @property
    def study(self) -> StudyKey | None:
        """Key for grouping; None for a picture, and for a DICOM file that states neither study nor patient."""
        return None if self.drafted.identity is None else study_key(self.drafted.identity)


@dataclass(frozen=True)
class RefusedImage:
    """A file that cannot be used; the error's traceback, which keeps the file's bytes in memory, is removed.

    other_picture : True for a picture without DICOM that is no mammogram, such as a logo
    identity : from the header; None if it cannot be read
    """

    name: str
    error: InputError
    other_picture: bool
    identity: Identity | None


class ImageReader:
    """Way to read the images of an upload, all with one model.

    draft : folder into which images are written
    pseudonyms : of the site; None to store files as received
    """

    def __init__(
        self,
        models: ModelSource,
        compute: ComputePool,
        draft: Path,
        pseudonyms: Pseudonyms | None,
        tomosynthesis: Tomosynthesis,
        urgency: Urgency,
    ) -> None:
        self.draft = draft
        self._models = models
        self._compute = compute
        self._pseudonyms = pseudonyms
        self._tomosynthesis = tomosynthesis
        self._urgency = urgency
        self._lock = threading.Lock()
        self._predictor: Predictor | ModelError | None = None

    @property
    def predictor(self) -> Predictor:
        """The model.

        Raises
        ------
        NoModel, BundleError
            As :meth:`birads_app.model.predictor.ModelSource.get`.
        """
        with self._lock:
            if self._predictor is None:
                try:
                    self._predictor = self._models.get()
                except ModelError as error:
                    self._predictor = error
        if isinstance(self._predictor, ModelError):
            raise self._predictor.with_traceback(None)
        return self._predictor

    def read_all(self, sent: Iterable[SourceFile]) -> Iterator[ReadImage | RefusedImage | Companion]:
        """Read files side by side while further ones arrive; yield the results in the order of the files."""
        threads = self._compute.processes + 1  # one of which predicts while the others wait for a process
        return side_by_side(self.read, sent, _pool(threads), ahead=threads + 1)

    def read(self, file: SourceFile) -> ReadImage | RefusedImage | Companion:
        """Read one file; an unusable one has its reason also without a model."""
        try:
            size = self._size()
            with instruments.timed("decode"):
                drafted = self._compute.run(
                    draft_image,
                    file,
                    self.draft,
                    self._pseudonyms,
                    self._tomosynthesis,
                    size,
                    urgency=self._urgency,
                )
        except InputError as error:  # the process has ended
            return RefusedImage(file.name, error.with_traceback(None), False, self._identity(file))
        if not isinstance(drafted, DraftedImage):
            return drafted
        with ThreadPoolExecutor(1) as beside:  # the disk takes as long as the model
            flushing = beside.submit(files.flush, self.draft, drafted.id)
            predictor = self.predictor.at(self._urgency)
            assert drafted.seen is not None
            with instruments.timed("predict"):
                prediction = predictor.examine_input(drafted.seen, drafted.warnings)
            flushing.result()
        material = Material(drafted.seen, drafted.uncompressed)
        return ReadImage(drafted, prediction, material, file.set_laterality, file.set_view)

    def _identity(self, file: SourceFile) -> Identity | None:
        """Return the identity in the header of a file whose pixels cannot be read."""
        try:
            return self._compute.run(_identity_in, file, urgency=self._urgency)
        except InputError:
            return None

    def _size(self) -> InputSize | None:
        """Size of the model's input; None without a model, which is reported for the first usable image."""
        try:
            return self.predictor.bundle.size
        except ModelError:
            return None


def draft_image(
    file: SourceFile,
    draft: Path,
    pseudonyms: Pseudonyms | None,
    tomosynthesis: Tomosynthesis,
    size: InputSize | None,
) -> DraftedImage | RefusedImage | Companion:
    """Write an image into a draft and prepare it for the model; parameters as :class:`ImageReader`."""
    if companion := companion_of(file):
        return companion
    try:
        return _usable_image(file, draft, pseudonyms, tomosynthesis, size)
    except InputError as error:
        other_picture = isinstance(error, NotAMammogram) and file.format != "DICOM"
        return RefusedImage(file.name, error.with_traceback(None), other_picture, _identity_in(file))


def _usable_image(
    file: SourceFile,
    draft: Path,
    pseudonyms: Pseudonyms | None,
    tomosynthesis: Tomosynthesis,
    size: InputSize | None,
) -> DraftedImage:
    """Write an image into a draft and prepare it for the model; raises InputError if the file is unusable."""
    prepared, image_id = prepare(file, pseudonyms, tomosynthesis), uuid.uuid4().hex
    with ThreadPoolExecutor(1) as beside:  # the disk takes as long as the model's input
        writing = beside.submit(
            files.write_original,
            draft / image_id,
            prepared.mammogram.source,
            prepared.chunks,
            uncompressed=prepared.uncompressed,
        )
        drafted = _drafted(file, prepared, image_id, size)
        writing.result()
    files.write_preview(draft, image_id, prepared.mammogram.pixels)
    return drafted


def _drafted(file: SourceFile, prepared: PreparedFile, image_id: str, size: InputSize | None) -> DraftedImage:
    """Check an image and prepare it for the model; raises NotAMammogram."""
    mammogram = prepared.mammogram
    warnings = mammogram.notes + quality.check(mammogram)
    if prepared.blanked:
        known = side_markers.letters_of(mammogram.laterality, mammogram.view, mammogram.notes)
        warnings = (*warnings, side_markers.message(known))
    height, width = mammogram.pixels.shape
    placed = _placed(prepared)
    if placed is not None and placed.suspected:
        warnings = (*warnings, msg("orientation-suspected", how=placed.suspected.description))
    elif placed is not None and placed.stated:
        warnings = (*warnings, msg("orientation-stated", how=placed.stated.description))
    return DraftedImage(
        id=image_id,
        name=file.name,
        source=mammogram.source,
        view=mammogram.view,
        laterality=mammogram.laterality,
        role=mammogram.role,
        width=width,
        height=height,
        placement=placed,
        warnings=warnings,
        seen=None if size is None else preprocess.prepare(mammogram, size),
        uncompressed=prepared.uncompressed,
        header=None if prepared.header is None else StoredHeader.of(prepared.header),
        identity=prepared.identity,
        instance=prepared.instance,
        fingerprint=fingerprint(file.data, mammogram, prepared.identity, prepared.instance),
    )


def _is_estimated(mammogram: Mammogram) -> bool:
    """Return True if the view was estimated from the image."""
    return any(note.code == "view-estimated" for note in mammogram.notes)


def _placed(prepared: PreparedFile) -> Placement | None:
    """Return the breast's position, with the orientation that the header states or that is suspected."""
    mammogram, header = prepared.mammogram, prepared.header
    small = shrink_for_search(mammogram.pixels)
    mask = coarse_mask(small)
    placed = placement.place(mask, mammogram.pixel_spacing)
    if placed is None or mammogram.role in (ViewRole.SPECIAL, ViewRole.OTHER):
        return placed
    estimated = _is_estimated(mammogram)
    side = mammogram.laterality
    stated = None
    if header is not None:
        stated = orientation.stated(parser.texts(header, "PatientOrientation"), side, mammogram.view)
    if stated is not None and stated != orientation.AS_STORED:
        shown = placement.place(orientation.turn(mask, stated))
        if shown and (shown.chest_wall == "right") == (
            side == "R"
        ):  # else image and header contradict each other
            return replace(placed, stated=stated)
    found = orientation.suspected(small, mask, side, mammogram.view, not estimated)
    return replace(placed, suspected=found)


def _identity_in(file: SourceFile) -> Identity | None:
    """Return the identity in a file's header; None if there is none."""
    try:
        return read_identity(file.dicom.dataset) if file.format == "DICOM" else None
    except InputError:
        return None


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return the threads of this process that wait for calls and predict."""
    return RequestThreads(threads, "images")
