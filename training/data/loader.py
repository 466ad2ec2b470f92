"""Loading of image files in one pass: each is opened, parsed and decoded once.

Everything that a training needs of a file is taken in this pass and kept in caches by the SHA-256 of its content: the
input of the network with breast mask and outlines, perceptual hash, metadata of the file, and side and view of a DICOM
header. Other values of headers are not kept, because they identify patients. Threads read, decode and prepare files
(the decoders and OpenCV release the interpreter's lock). An unchanged file is recognised without being read.
"""

import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from birads_app.compute.side_by_side import side_by_side
from birads_app.imaging import quality
from birads_app.model import preprocess
from birads_app.model.preprocess import DEFAULT_SIZE, InputSize, ModelInput
from birads_app.terms.errors import InputError
from birads_app.terms.messages import msg
from birads_app.version import __version__
from training import progress
from training.data import file_metadata, image_copies, outlines, perceptual_hash, sides_and_views
from training.data.dataset import DatasetListing, Example
from training.data.image_copies import Copy
from training.data.image_file import Header, ImageFile
from training.data.key_value_cache import KeyValueCache
from training.data.prepared_images import PreparedImages
from training.errors import DatasetError

# Files loaded ahead, few enough to hold in memory, and results written to the caches at once.
_IN_FLIGHT, _CACHE_BATCH = 96, 64
# A file that changed this recently may change again within one tick of the file system's clock.
_SETTLED_S = 2.0
_STATE = struct.Struct("<qqqQ")
_HASH_BYTES = perceptual_hash.BYTES
_END_OF_METADATA = _HASH_BYTES + file_metadata.BYTES

# Called with a DICOM header, None for other files; False if the file is not needed.
Wanted = Callable[[Header | None], bool]


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """One file after loading.

    digest : SHA-256 of the file; empty if it cannot be used
    image_hash : from :func:`training.data.perceptual_hash.compute`
    metadata : from :func:`training.data.file_metadata.measure`, as bytes
    side_and_view : of the DICOM header, from :func:`training.data.sides_and_views.stated_by_header`
    header : values of the DICOM header, where label or patient were unknown; else None
    reason : why the file cannot be used; empty if it can
    outline : key of the outlined findings in the prepared images; empty without a mask
    mask_problem : why the mask cannot be used; empty if it can, or there is none
    """

    example: Example
    digest: bytes = b""
    image_hash: bytes = b""
    metadata: bytes = b""
    side_and_view: str = ""
    header: Header | None = None
    reason: str = ""
    outline: bytes = b""
    mask_problem: str = ""

    @property
    def findings_known(self) -> bool:
        """True if the image has an outline, or is known to have no finding."""
        return bool(self.outline) or self.example.without_findings


@dataclass(frozen=True)
class LoadedDataset:
    """A data set whose files are loaded.

    images : the examples of ``listing`` in order, usable or not; patients who share a copy of an image have one ID
    prepared : the images of the usable ones
    copies : files that show the same image
    """

    listing: DatasetListing
    images: tuple[LoadedImage, ...]
    prepared: PreparedImages
    copies: tuple[Copy, ...]

    def of_classes(self, classes: tuple[str, ...]) -> "LoadedDataset":
        """Return the images of some categories."""
        images = tuple(one for one in self.images if one.example.fits(classes))
        paths = {one.example.path for one in images}
        copies = tuple(copy for copy in self.copies if paths.issuperset(copy.files))
        return replace(self, listing=self.listing.of_classes(classes), images=images, copies=copies)


def load_dataset(listing: DatasetListing, cache: Path, size: InputSize = DEFAULT_SIZE) -> LoadedDataset:
    """Load the files of a listing, complete it by what only their headers have, and find copies of an image.

    Raises
    ------
    OSError
        The cache cannot be read or written, for example because the disk is full; results so far are kept.
    """
    loader = ImageLoader(cache, size)
    wanted = listing.unjoined.has_row if listing.unjoined else None
    loaded = {one.example.path: one for one in loader.load(listing.found, wanted)}
    complete = listing.with_headers({path: one.header for path, one in loaded.items()})
    # Of a table that is joined by header, the masks are known now only.
    masked = [one for one in complete.found if one.mask != loaded[one.path].example.mask]
    loaded.update((one.example.path, one) for one in loader.load(masked))
    images = [
        replace(one, example=sides_and_views.completed(example, one.side_and_view), header=None)
        for example, one in ((example, loaded[example.path]) for example in complete.dataset.examples)
    ]
    copies = image_copies.find(images, loader.prepared, cache)
    united = image_copies.united_patients([one.example for one in images], copies)
    images = [replace(image, example=example) for image, example in zip(images, united, strict=True)]
    return LoadedDataset(complete, tuple(images), loader.prepared, copies)


class ImageLoader:
    """Loader of image files, with its results cached below ``cache``.

    Raises OSError if the cache cannot be read or written.
    """

    def __init__(self, cache: Path, size: InputSize = DEFAULT_SIZE) -> None:
        """Open the caches of images of this size; the hash of an image depends on it as well."""
        version = f"v{preprocess.VERSION}" + (f"-{size}" if size != DEFAULT_SIZE else "")
        self.prepared = PreparedImages(cache, size)
        self._digests = KeyValueCache(cache / "files.sqlite")
        self._facts = KeyValueCache(cache / "images" / f"{version}-hash{perceptual_hash.VERSION}.sqlite")
        # Another version of the program may be able to read the file.
        self._refusals = KeyValueCache(cache / "images" / f"{version}-refused-by-{__version__}.sqlite")

    def load(self, examples: Sequence[Example], wanted: Wanted | None = None) -> Iterator[LoadedImage]:
        """Load every file, in order, with a progress bar.

        Parameters
        ----------
        wanted : tells by the header which files are needed; called from threads. None if all are
        """
        batch: list[_Found] = []
        with (
            ThreadPoolExecutor(os.cpu_count() or 1) as pool,
            progress.steps("images", len(examples), "image") as bar,
        ):
            load = partial(self._load_one, wanted=wanted)
            for found in side_by_side(load, examples, pool, ahead=_IN_FLIGHT):
                bar.step()
                batch.append(found)
                if len(batch) == _CACHE_BATCH:
                    self._remember(batch)
                    yield from (one.seen for one in batch)
                    batch = []
        self._remember(batch)
        yield from (one.seen for one in batch)

    def _remember(self, batch: "Sequence[_Found]") -> None:
        """Write new results to the caches; the digest, by which a file counts as known, last."""
        new = {one.digest: one for one in batch if one.image is not None}
        if new:
            self.prepared.add(list(new), [one.image for one in new.values() if one.image is not None])
        drawn = {one.seen.outline: one.outline for one in batch if one.outline is not None}
        if drawn:
            self.prepared.add_outlines(list(drawn), list(drawn.values()))
        facts = {digest: _facts_of(one.seen) for digest, one in new.items()}
        refusals = {one.digest: one.seen.reason.encode() for one in batch if one.digest and one.seen.reason}
        digests = {os.fsencode(one.seen.example.path): one.state + one.digest for one in batch if one.state}
        for cache, entries in ((self._facts, facts), (self._refusals, refusals), (self._digests, digests)):
            if entries:
                cache.put(entries)

    def _load_one(self, example: Example, wanted: Wanted | None) -> "_Found":
        try:
            return self._find(example, wanted)
        except OSError as error:
            return _Found(LoadedImage(example, reason=f"The file cannot be read: {error.strerror or error}."))

    def _find(self, example: Example, wanted: Wanted | None) -> "_Found":
        """Recognise a known file by its state, else by its content; decode it if it is not known."""
        state = _state(example.path)
        noted = self._digests.get(os.fsencode(example.path)) or b""
        known = self._known(example, noted[len(state) :]) if noted.startswith(state) else None
        reads_header = wanted is not None or not example.known
        if known is not None and not reads_header:
            return _Found(known)
        with example.path.open("rb") as stream:
            file = ImageFile(example.path.name, stream)
            header = file.header if reads_header else None
            if known is not None:
                return _Found(replace(known, header=header))
            if wanted is not None and not wanted(header):
                return _Found(LoadedImage(example, header=header, reason="No label belongs to the file."))
            digest = hashlib.sha256(file.data).digest()
        state = state if _is_settled(state) else b""
        known = self._known(example, digest)
        if known is not None:
            return _Found(replace(known, header=header), state, digest)
        try:
            return self._decoded(LoadedImage(example, digest, header=header), file, state)
        except InputError as error:
            refused = LoadedImage(example, header=header, reason=str(error))
            lasting = error.message != msg("out-of-memory")
            return _Found(refused, state, digest) if lasting else _Found(refused)

    def _known(self, example: Example, digest: bytes) -> LoadedImage | None:
        """Return what the caches have of the file with this content; None if it has to be decoded."""
        facts = self._facts.get(digest)
        # Earlier versions kept no side and view, and the file is decoded again.
        if facts is not None and len(facts) > _END_OF_METADATA and self.prepared.holds(digest):
            outline = outlines.key_of(digest, _content(example.mask)) if example.mask else b""
            if outline and not self.prepared.holds_outline(outline):
                return None
            image_hash, metadata = facts[:_HASH_BYTES], facts[_HASH_BYTES:_END_OF_METADATA]
            side_and_view = facts[_END_OF_METADATA:].decode()
            return LoadedImage(example, digest, image_hash, metadata, side_and_view, outline=outline)
        refusal = self._refusals.get(digest)
        return None if refusal is None else LoadedImage(example, reason=refusal.decode())

    def _decoded(self, loaded: LoadedImage, file: ImageFile, state: bytes) -> "_Found":
        """Decode a file and derive everything from it; raises InputError if it cannot be used."""
        mammogram = file.decode()
        quality.check(mammogram)
        image = preprocess.prepare(mammogram, self.prepared.size)
        metadata = file_metadata.measure(mammogram, len(file.data)).tobytes()
        image_hash = perceptual_hash.compute(image)
        seen = replace(
            loaded,
            image_hash=image_hash,
            metadata=metadata,
            side_and_view=sides_and_views.stated_by_header(mammogram),
        )
        if loaded.example.mask is None:
            return _Found(seen, state, loaded.digest, image)
        mask = _content(loaded.example.mask)
        try:
            outline = outlines.read(mask, mammogram.pixels, self.prepared.size)
        except DatasetError as error:
            problem = f"The mask {loaded.example.mask.name} of {loaded.example.path.name} {error}."
            return _Found(replace(seen, mask_problem=problem), state, loaded.digest, image)
        seen = replace(seen, outline=outlines.key_of(loaded.digest, mask))
        return _Found(seen, state, loaded.digest, image, outline)


@dataclass(frozen=True, slots=True)
class _Found:
    """A loaded file, and what is new to the caches.

    state, digest : state and SHA-256 of the file; empty if they are not to be kept
    image : the prepared image, if the file was decoded
    outline : outlines of its findings, likewise; None without a usable mask
    """

    seen: LoadedImage
    state: bytes = b""
    digest: bytes = b""
    image: ModelInput | None = None
    outline: np.ndarray | None = None


def _content(mask: Path) -> bytes:
    """Return the content of a mask; empty if it cannot be read, as of no image."""
    try:
        return mask.read_bytes()
    except OSError:
        return b""


def _facts_of(image: LoadedImage) -> bytes:
    """Return what is kept of an image beside its pixels."""
    return image.image_hash + image.metadata + image.side_and_view.encode()


def _state(path: Path) -> bytes:
    """Return size, times of change in nanoseconds, and inode, which tell whether a file changed; 32 bytes."""
    status = path.stat()
    return _STATE.pack(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _is_settled(state: bytes) -> bool:
    """Return True if any further change would give the file another state."""
    _, modified, changed, _ = _STATE.unpack(state)
    return max(modified, changed) < (time.time() - _SETTLED_S) * 1e9
