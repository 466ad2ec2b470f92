"""Images of a data set that a model was trained on, recognised by the digests in its bundle.

Features, and predictions, for such images are better than for others. They and all images of their patients are kept
out of the test and validation sets, or else every output says that the figures are contaminated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from birads_app.model.training_digests import TrainingDigests, content_digest
from birads_app.terms.counts import counted, images_of
from training.data import image_copies, perceptual_hash
from training.data.loader import LoadedImage
from training.data.patient_ids import normalise
from training.data.prepared_images import PreparedImages


class ContaminationState(StrEnum):
    """Knowledge about training images among the test images."""

    CLEAN = "clean"
    LEFT_OUT = "left out"
    CONTAMINATED = "contaminated"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SeenImages:
    """Images of a data set that a model was trained on.

    model : name of the model, or of the origin of its weights
    complete : False if it is not recorded what the model, or the backbone of its training, was trained on
    seen : bool (n,), True for these images and for the other images of their patients
    """

    model: str
    complete: bool
    seen: np.ndarray

    def state(self, in_test: int) -> ContaminationState:
        """Return the state, given the number of seen images in the test set."""
        if in_test:
            return ContaminationState.CONTAMINATED
        if not self.complete:
            return ContaminationState.UNKNOWN
        return ContaminationState.LEFT_OUT if self.seen.any() else ContaminationState.CLEAN


@dataclass(frozen=True)
class Contamination:
    """Training images of a model in a data set, and how many of them are in the test set.

    images, patients : numbers in the whole data set
    in_test : images in the test set
    """

    state: ContaminationState
    model: str
    images: int
    patients: int
    in_test: int

    @property
    def warning(self) -> str:
        """Warning that every output carries; empty if the test images are not known to be contaminated."""
        if self.state is not ContaminationState.CONTAMINATED:
            return ""
        return (
            f"CONTAMINATED: the test set has {counted(self.in_test, 'image')} of patients that {self.model} was "
            "trained on. The figures are too good, and say nothing about other patients."
        )

    @property
    def note(self) -> str:
        """Sentence about what was left out, or is not known; empty for a data set without such images."""
        if self.state is ContaminationState.LEFT_OUT or (
            self.images and self.state is ContaminationState.UNKNOWN
        ):
            found = f"Left out of the test: {images_of(self.images, self.patients)} that {self.model} was trained on."
            return found if self.state is ContaminationState.LEFT_OUT else f"{found} {self._unknown}"
        return self._unknown if self.state is ContaminationState.UNKNOWN else ""

    @property
    def _unknown(self) -> str:
        return (
            f"Contamination: unknown. It is not recorded which images {self.model} was trained on; if test images "
            "are among them, the figures are too good."
        )


def find(
    trained_on: TrainingDigests | None,
    model: str,
    images: Sequence[LoadedImage],
    prepared: PreparedImages,
    patient_digest: Callable[[str], bytes] | None = None,
) -> SeenImages:
    """Find the images that a model was trained on, by content, perceptual hash and patient.

    Parameters
    ----------
    trained_on : the digests in its bundle; None if it has none
    images : n loaded images, whose patients are united by copies
    patient_digest : function from a normalised patient ID to its digest under the site's key; None without a key
    """
    seen = np.zeros(len(images), bool)
    if trained_on is None:
        return SeenImages(model, False, seen)
    known = [content_digest(one.digest) in trained_on.contents for one in images]
    patients = np.array([one.example.patient for one in images])
    seen |= known
    if patient_digest is not None and trained_on.patients:
        digests = {one: patient_digest(normalise(one)) for one in np.unique(patients).tolist()}
        seen |= [digests[one] in trained_on.patients for one in patients.tolist()]
    if trained_on.hashes and trained_on.hash_version == perceptual_hash.VERSION:
        left = np.flatnonzero(~np.isin(patients, patients[seen]))
        contents = [images[index].digest for index in left.tolist()]
        found = image_copies.matching(contents, prepared, sorted(trained_on.hashes), "training images")
        for place, copies in found:
            seen[left[place]] |= bool(copies)
    return SeenImages(model, trained_on.complete, np.isin(patients, patients[seen]))


def measure(found: SeenImages, patients: Sequence[str] | np.ndarray, in_test: int) -> Contamination:
    """Count what was found.

    Parameters
    ----------
    patients : n patient IDs
    in_test : seen images in the test set
    """
    seen_patients = len(np.unique(np.asarray(patients)[found.seen]))
    return Contamination(found.state(in_test), found.model, int(found.seen.sum()), seen_patients, in_test)
