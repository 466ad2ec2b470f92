"""Feature maps on disk, so that the next training on the same images starts at once.

A file is named after the image's content, in a folder named after everything else the maps depend on.
"""

import os
import tempfile
from pathlib import Path

import numpy as np

from birads_app.inference import preprocess


class FeatureCache:
    """Feature maps of one backbone, by the SHA-256 of the image file."""

    def __init__(self, root: Path, backbone: str, size: int, engine: str, precision: str) -> None:
        key = f"{backbone[:16]}-v{preprocess.VERSION}-{size}-{engine}-{precision}"
        self._folder = root / "features" / key

    def get(self, digest: str) -> np.ndarray | None:
        """The maps, float16 (rows, columns, channels), or None where they are not there or damaged."""
        try:
            return np.asarray(np.load(self._path(digest), allow_pickle=False))
        except (FileNotFoundError, ValueError, EOFError):
            return None

    def put(self, digest: str, maps: np.ndarray) -> None:
        """Keep maps whole or not at all; raises OSError where the disk is full or not writable."""
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=".", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                np.save(stream, maps, allow_pickle=False)
            os.replace(draft, path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / f"{digest}.npy"
