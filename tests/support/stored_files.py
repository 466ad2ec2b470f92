"""Files of stored exams, be they in the instance folder or in a bucket, of which the folder has copies."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from birads_app.records import exam_copies, exam_packages, exams, file_store, files
from birads_app.records.exam_packages import DERIVED, ORIGINALS
from birads_app.records.schema import Image


def lose(image: Image, kind: str) -> None:
    """Remove a file of an image; from a bucket with all files of its exam that are of a kind.

    Parameters
    ----------
    kind : as for :func:`files.path`
    """
    files.expected_path(image, kind).unlink()
    bucket = file_store.of_app().bucket
    if bucket is not None:
        package = exam_packages.package(image.exam_id, _image_ids(image.exam_id))
        assert package is not None
        bucket.remove(package.name(ORIGINALS if kind == "original" else DERIVED))


@contextmanager
def changing(exam_id: str) -> Iterator[Path]:
    """Yield the folder of the files of an exam's first image, and store what the block changes in it."""
    store, image_ids = file_store.of_app(), _image_ids(exam_id)
    with exam_copies.opened(store, exam_id, image_ids) as folder:
        yield folder / image_ids[0]
        if store.bucket is not None:
            exam_copies.put(store, exam_id, image_ids, folder)


def cut(name: str, size: int) -> None:
    """Keep only the first bytes of a file of the store, such as ``uploads/NAME``."""
    store = file_store.of_app()
    if store.bucket is None:
        os.truncate(store.folder / name, size)
    else:
        store.bucket.write(name, store.bucket.read(name)[:size])


def _image_ids(exam_id: str) -> list[str]:
    return [image.id for image in exams.get(exam_id).images]
