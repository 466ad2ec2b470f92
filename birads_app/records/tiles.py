"""Tiles of an image's grey values at full depth, for the viewer: ``images/<exam>/<image>/tiles-2.zip``.

A pyramid of the picture and its halves, down to one tile. It is created from the stored original on first use, is
deleted with the exam's folder, and may be removed at any time. Each tile is stored as it is sent: rows of little-endian
uint16, compressed by gzip, which browsers decompress themselves.
"""

import gzip
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from flask import current_app

from birads_app.compute.pool import ComputePool
from birads_app.compute.turns import Urgency
from birads_app.files import atomic
from birads_app.imaging import grayscale_range
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis
from birads_app.imaging.voi_lut import Curve
from birads_app.records import files, shared_locks
from birads_app.records.errors import NotFound
from birads_app.records.schema import Image
from birads_app.terms.messages import msg

SIDE = 512
# The number increases when the format changes, so that older files are not read.
NAME, _LOCK = "tiles-2.zip", "tiles-2.lock"
_DESCRIPTION = "description.json"
_ENTRIES_MAX = 4096  # of a look-up table: sixteen for each grey level of the display
_QUICK = 1


def description(image: Image) -> dict[str, Any]:
    """Return the description that the viewer needs before it loads tiles; create the tiles if missing.

    Returns
    -------
    width, height in pixels; side of a tile and number of levels; spacing, ends and presets as in
    :class:`birads_app.imaging.grayscale_range.GreyScale`, tables as whole numbers 0..65535

    Raises
    ------
    NotFound
        The image's files are missing.
    InputError
        The original can no longer be read.
    """
    stored: dict[str, Any] = json.loads(_member(image, _DESCRIPTION))
    return stored


def tile(image: Image, level: int, row: int, column: int) -> bytes:
    """Return a tile as gzip; level 0 has full resolution. Errors as :func:`description`, or NotFound."""
    return _member(image, f"{level}/{row}/{column}")


def path(image: Image) -> Path:
    """Return the file of all tiles; create it if missing. Errors as :func:`description`."""
    archive = files.folder(image) / NAME
    if not archive.exists():
        compute: ComputePool = current_app.extensions["birads_compute"]
        tomosynthesis = current_app.extensions["birads_settings"].tomosynthesis
        original = files.path(image, "original")
        with shared_locks.of_app().exclusive(files.lock_name(image, _LOCK), remove=True):
            if not archive.exists():  # another process may have created it meanwhile
                with atomic.replacing(archive) as part:
                    compute.run(write, part, original, tomosynthesis, urgency=Urgency.READER)
                atomic.sync_folder(archive.parent)
    return archive


def _member(image: Image, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path(image)) as archive:
            return archive.read(name)
    except KeyError as error:
        raise NotFound(msg("tile-missing")) from error
    except FileNotFoundError as error:
        raise NotFound(msg("image-files-gone")) from error


def write(target: Path, original: Path, tomosynthesis: Tomosynthesis) -> None:
    """Write all levels and the description, and flush them to disk; errors as :func:`description`."""
    scale = grayscale_range.read(original.read_bytes(), tomosynthesis)
    height, width = scale.values.shape
    with target.open("wb") as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            levels = 0
            for values in _pyramid(scale.values):
                for name, data in _tiles(values):
                    archive.writestr(f"{levels}/{name}", data)
                levels += 1
            about = {
                "width": width,
                "height": height,
                "side": SIDE,
                "levels": levels,
                "spacing": scale.pixel_spacing,
                "ends": scale.ends,
                "presets": [_as_json(preset) for preset in scale.presets],
            }
            archive.writestr(_DESCRIPTION, json.dumps(about))
        stream.flush()
        os.fsync(stream.fileno())


def _pyramid(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the picture, then its successive halves by area averaging, down to one tile."""
    yield values
    while max(values.shape) > SIDE:
        height, width = values.shape
        values = cv2.resize(values, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)
        yield values


def _tiles(values: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """Yield the tiles of a level by ``row/column``; those at the right and lower edge are smaller."""
    for top in range(0, values.shape[0], SIDE):
        for left in range(0, values.shape[1], SIDE):
            part = values[top : top + SIDE, left : left + SIDE]
            data = gzip.compress(part.astype("<u2").tobytes(), _QUICK, mtime=0)
            yield f"{top // SIDE}/{left // SIDE}", data


def _as_json(curve: Curve) -> dict[str, Any]:
    entries = curve.table.size
    chosen = np.linspace(0, entries - 1, min(entries, _ENTRIES_MAX)).round().astype(int)
    return asdict(curve) | {"table": np.rint(65535 * curve.table[chosen]).astype(int).tolist()}
