"""Images and studies that come again: once is enough."""

import hashlib
import hmac
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

from birads_app.deid.identity import comparable
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging.decode import Mammogram
from birads_app.records import exams, site_keys
from birads_app.records.identities import Identity, Instance
from birads_app.records.schema import Exam, User
from birads_app.terms.errors import InputError
from birads_app.terms.messages import Message, msg

_STEP = 16  # pixels between those that count for a fingerprint


class Fingerprinted(Protocol):
    """An image, with the fingerprint of its file and the UIDs of its header."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def instance(self) -> Instance | None: ...


File = TypeVar("File", bound=Fingerprinted)


def fingerprint(
    data: bytes, mammogram: Mammogram, identity: Identity | None, instance: Instance | None
) -> str:
    """Return a digest that is the same for the same object, in whatever transfer syntax it comes.

    Of a DICOM image count its UID, patient, side, view, size and pixels; of other files all bytes.
    """
    if identity is None or instance is None or not instance.sop_uid:
        return hashlib.blake2b(data, digest_size=16).hexdigest()
    stated = (
        instance.sop_uid,
        *comparable(identity),
        mammogram.laterality,
        mammogram.view,
        mammogram.pixels.shape,
    )
    digest = hashlib.blake2b(repr(stated).encode(), digest_size=16)
    digest.update(mammogram.pixels[::_STEP, ::_STEP].tobytes())
    return digest.hexdigest()


def is_stored(image: Fingerprinted, pseudonyms: Pseudonyms) -> bool:
    """Return True if an image is stored, under its UID or its pseudonym, and has not changed as far as can be told."""
    uid = image.instance.sop_uid if image.instance else ""
    known = exams.fingerprints(uid, pseudonyms.uid(uid)) if uid else set()
    return None in known or image.fingerprint in known


def without_repeated(files: Sequence[File]) -> tuple[list[File], list[Message]]:
    """Return the files without those that repeat an earlier one, and a note about them; none if there are none."""
    distinct: dict[str, File] = {}
    for file in files:
        distinct.setdefault(file.fingerprint, file)
    repeated = len(files) - len(distinct)
    return list(distinct.values()), [msg("objects-repeated", count=repeated)] if repeated else []


def sharing_uids(files: Sequence[File]) -> list[Message]:
    """Return the reason for attention if different images have one UID; none if there are none."""
    uids = [file.instance.sop_uid for file in files if file.instance is not None and file.instance.sop_uid]
    sharing = sum(count for count in Counter(uids).values() if count > 1)
    return [msg("uid-shared", count=sharing)] if sharing else []


class KeyReused(InputError):
    """The key of a request was sent with other files before."""


def keyed_id(user: User, key: str, number: int) -> str:
    """Return the id of the exam with a number, from 0, in a user's request with a key."""
    return _id_of(f"upload\0{user.id}\0{number}\0{key}")


def job_id_of_key(user: User, key: str) -> str:
    """Return the id of the job of a user's request with a key."""
    return _id_of(f"job\0{user.id}\0{key}")


def _id_of(parts: str) -> str:
    return hmac.digest(site_keys.pseudonym_key().encode(), parts.encode(), hashlib.sha256).hex()[:32]


def exam_of_key(exam: Exam) -> Exam | None:
    """Return the stored exam with a new one's id; None if there is none. Raises KeyReused if its images differ."""
    if not exams.exists(exam.id):
        return None
    stored = exams.get(exam.id)
    if {image.fingerprint for image in exam.images} != {image.fingerprint for image in stored.images}:
        raise KeyReused(msg("upload-key-reused"))
    return stored


def stored_exam(exam: Exam) -> Exam | None:
    """Return the stored exam that has all images of a new one, read by the same model; None if there is none."""
    fingerprints = {image.fingerprint for image in exam.images if image.sop_uid}
    if exam.study_uid is None or len(fingerprints) < len(exam.images):
        return None
    for stored in exams.with_study(exam.study_uid):
        if stored.model == exam.model and fingerprints <= {image.fingerprint for image in stored.images}:
            return stored
    return None


def stored_exam_of(study_uid: str, sop_uids: Collection[str], model: str) -> Exam | None:
    """Return the stored exam that a model read and that has images with all these UIDs, as stored; None without one."""
    for stored in exams.with_study(study_uid):
        if stored.model == model and set(sop_uids) <= {image.sop_uid for image in stored.images}:
            return stored
    return None
