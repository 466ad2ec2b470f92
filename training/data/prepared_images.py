"""Prepared images on disk: the input of the network and the breast mask, so that no file is decoded twice.

An image of 224 pixels takes 55 KiB.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from birads_app.imaging.segmentation import Box
from birads_app.model import preprocess
from birads_app.model.preprocess import ModelInput
from training.data.row_store import UINT8, RowStore, StoredRows


class PreparedImages:
    """Prepared images of one size, by the SHA-256 of the file; raises OSError if they cannot be read or written."""

    def __init__(self, cache: Path, size: int) -> None:
        """Open or create the images with sides of ``size`` pixels below ``cache``."""
        self.size = size
        folder = cache / "images" / f"v{preprocess.VERSION}-{size}"
        self._squares = RowStore(folder / "squares", size * size, UINT8)
        self._masks = RowStore(folder / "masks", -(-size * size // 8), UINT8)

    def holds(self, digest: bytes) -> bool:
        """Return True if there is an image of this file."""
        return self._masks.holds(digest)

    def add(self, digests: Sequence[bytes], images: Sequence[ModelInput]) -> None:
        """Add the images of n files; existing ones stay."""
        self._squares.add(digests, np.stack([image.grey.ravel() for image in images]))
        self._masks.add(digests, np.stack([np.packbits(image.breast_mask) for image in images]))

    def squares(self, digests: Sequence[bytes]) -> StoredRows:
        """Return grey squares, uint8 (n, size * size), that stay on the disk; raise KeyError for a missing one."""
        return self._squares.get(digests)

    def inputs(self, digests: Sequence[bytes]) -> list[ModelInput]:
        """Return images with their masks, whose boxes are the squares; raise KeyError for a missing one."""
        squares, masks = self.squares(digests)[:], self._masks.get(digests)[:]
        shape, box = (self.size, self.size), Box(0, 0, self.size, self.size)
        unpacked = np.unpackbits(masks, axis=1, count=self.size * self.size).astype(bool)
        return [
            ModelInput(square.reshape(shape), mask.reshape(shape), box, flipped=False, shape=shape)
            for square, mask in zip(squares, unpacked, strict=True)
        ]
