"""Features computed by the workers of a cluster, which receive prepared images and need no files."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np

from birads_app.cluster.connection import (
    ClusterError,
    WorkerDiffers,
    check_workers,
    connected,
    difference,
    run_all,
    shared_value,
    sharing,
)
from birads_app.model.engine import Run, open_graph
from birads_app.model.preprocess import standardise
from birads_app.version import __version__
from training.data.prepared_images import PreparedImages
from training.engine.fit_arguments import Head
from training.features.extractor import Extractor
from training.features.feature_rows import FeatureRows, rows_of

_BATCHES = 4  # of a partition


@dataclass(frozen=True)
class ImageBatches:
    """Prepared images of a partition, in the batches in which they pass the backbone.

    digests : of the files, for each batch
    images : uint8 (n, height, width), likewise
    """

    digests: tuple[tuple[bytes, ...], ...] = field(repr=False)
    images: tuple[np.ndarray, ...] = field(repr=False)


def compute(
    digests: Sequence[bytes],
    count: int,
    prepared: PreparedImages,
    extractor: Extractor,
    kind: Head,
    options: tuple[str, str],
    scheduler: str,
) -> Iterator[tuple[Sequence[bytes], FeatureRows]]:
    """Yield the digests and rows of each batch of ``count`` images, in no particular order.

    Parameters
    ----------
    options : engine and precision
    scheduler : address

    Raises
    ------
    ClusterError
        There is no such scheduler, a worker differs, or the workers end again and again.
    """
    channel = extractor.location["channel"] if extractor.location else None
    expected = _facts()
    partitions = (
        _read(digests[start : start + _BATCHES * count], count, prepared)
        for start in range(0, len(digests), _BATCHES * count)
    )
    with connected(scheduler) as client:
        check_workers(client, expected, _facts)
        with sharing(client, extractor.digest, extractor.graph):
            given = (extractor.digest, options, tuple(expected.items()), kind, channel)
            for done in run_all(client, features_of, partitions, *given):
                if done.result is None:
                    raise ClusterError(
                        "The workers ended again and again while they computed features. Look at their logs; the "
                        "features so far are kept."
                    )
                yield from zip(done.task.digests, done.result, strict=True)


def features_of(
    digest: str,
    options: tuple[str, str],
    expected: tuple[tuple[str, str], ...],
    kind: Head,
    channel: int | None,
    partition: ImageBatches,
) -> list[FeatureRows]:
    """Compute the rows of each batch; runs in a worker. Raises WorkerDiffers."""
    maps = _backbone(digest, options, expected)
    return [rows_of(maps(standardise(images)), kind, channel) for images in partition.images]


@lru_cache(maxsize=1)
def _backbone(digest: str, options: tuple[str, str], expected: tuple[tuple[str, str], ...]) -> Run:
    """Open the backbone that the command has sent to all workers, once in a process."""
    if differs := difference(dict(expected), _facts()):
        raise WorkerDiffers(f"A worker {differs}.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "backbone.pb"
        path.write_bytes(shared_value(digest))
        return open_graph(path, *options, threads=1)


def _facts() -> Mapping[str, str]:
    """Return what has to be equal on all machines, by a name for a message."""
    versions = {name: metadata.version(name.lower()) for name in ("OpenVINO", "TensorFlow")}
    return {"version": __version__, **versions}


def _read(digests: Sequence[bytes], count: int, prepared: PreparedImages) -> ImageBatches:
    batches = [tuple(digests[start : start + count]) for start in range(0, len(digests), count)]
    images = [prepared.grey(batch)[:].reshape(-1, *prepared.size) for batch in batches]
    return ImageBatches(tuple(batches), tuple(images))
