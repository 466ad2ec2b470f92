"""Prepared images on disk: the input of the network, the breast mask and outlines of findings, if there are any.

No file is decoded twice. An image of 224 x 224 pixels takes 55 KiB, and its outlines 49 KiB.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from birads_app.imaging.segmentation import Box
from birads_app.model import preprocess
from birads_app.model.preprocess import InputSize, ModelInput
from training.data.row_store import UINT8, RowStore, StoredRows


class PreparedImages:
    """Prepared images of one size, by the SHA-256 of the file; raises OSError if they cannot be read or written."""

    def __init__(self, cache: Path, size: InputSize) -> None:
        """Open or create the images of this size below ``cache``."""
        self.size = size
        pixels = size.height * size.width
        folder = cache / "images" / f"v{preprocess.VERSION}-{size}"
        self._grey = RowStore(folder / "squares", pixels, UINT8)  # the folder's name of earlier versions
        self._masks = RowStore(folder / "masks", -(-pixels // 8), UINT8)
        self._outlines = RowStore(folder / "outlines", pixels, UINT8)

    def holds(self, digest: bytes) -> bool:
        """Return True if there is an image of this file."""
        return self._masks.holds(digest)

    def add(self, digests: Sequence[bytes], images: Sequence[ModelInput]) -> None:
        """Add the images of n files; existing ones stay."""
        self._grey.add(digests, np.stack([image.grey.ravel() for image in images]))
        self._masks.add(digests, np.stack([np.packbits(image.breast_mask) for image in images]))

    def holds_outline(self, key: bytes) -> bool:
        """Return True if there is an outline with this key from :func:`training.data.outlines.key_of`."""
        return self._outlines.holds(key)

    def add_outlines(self, keys: Sequence[bytes], outlines: Sequence[np.ndarray]) -> None:
        """Add n outlines, uint8 of the images' size; existing ones stay."""
        self._outlines.add(keys, np.stack([outline.ravel() for outline in outlines]))

    def outlines(self, keys: Sequence[bytes]) -> np.ndarray:
        """Return n outlines, uint8 (n, height, width), 0 to 255; black for an empty key, KeyError for a missing one."""
        found = np.zeros((len(keys), *self.size), np.uint8)
        stored = [place for place, key in enumerate(keys) if key]
        if stored:
            found[stored] = self._outlines.get([keys[place] for place in stored])[:].reshape(-1, *self.size)
        return found

    def grey(self, digests: Sequence[bytes]) -> StoredRows:
        """Return grey levels, uint8 (n, height * width), that stay on the disk; raise KeyError for a missing image."""
        return self._grey.get(digests)

    def inputs(self, digests: Sequence[bytes]) -> list[ModelInput]:
        """Return images with their masks, whose boxes are the input itself; raise KeyError for a missing one."""
        rows, masks = self.grey(digests)[:], self._masks.get(digests)[:]
        box = Box(0, 0, *self.size)
        unpacked = np.unpackbits(masks, axis=1, count=rows.shape[1]).astype(bool)
        return [
            ModelInput(row.reshape(self.size), mask.reshape(self.size), box, flipped=False, shape=self.size)
            for row, mask in zip(rows, unpacked, strict=True)
        ]
