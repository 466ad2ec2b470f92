"""Faults of exporting programs that are tolerated: the image is that of the sound file, and a note names the fault."""

from functools import lru_cache

import numpy as np
import pytest

from birads_app.imaging.decode import Mammogram, decode
from birads_app.imaging.grayscale_range import read
from tests.support import faulty_files
from tests.support.faulty_files import Pair

CASES = faulty_files.all_pairs()


def codes(mammogram: Mammogram) -> list[str]:
    return sorted(note.code for note in mammogram.notes)


@lru_cache(8)  # cases of one kind follow each other
def as_valid(data: bytes) -> Mammogram:
    return decode(data)


def assert_same(pair: Pair, found: Mammogram) -> None:
    sound = as_valid(pair.sound)
    assert np.array_equal(found.pixels, sound.pixels)
    assert codes(found) == sorted([*codes(sound), *([pair.note] if pair.note else [])])
    for name in ("view", "laterality", "view_modifiers", "pixel_spacing", "bits"):
        assert getattr(found, name) == getattr(sound, name), name


@pytest.mark.parametrize("name", CASES)
def test_a_faulty_file_is_read_like_the_valid_one(name: str) -> None:
    assert_same(CASES[name], decode(CASES[name].faulty))


@pytest.mark.parametrize("name", CASES)
def test_a_deidentified_faulty_file_is_read_like_the_original(name: str) -> None:
    pair = CASES[name]
    prepared = faulty_files.deidentified(pair.faulty)
    assert_same(pair, prepared.mammogram)
    assert np.array_equal(decode(prepared.data).pixels, prepared.mammogram.pixels)
    assert np.array_equal(read(prepared.data).values, read(pair.sound).values)
    assert b"junk" not in prepared.data and b"Doe" not in prepared.data
