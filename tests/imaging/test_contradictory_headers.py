"""Headers that the pixels contradict: the image is that of the file whose header is right, and a note says so."""

from functools import lru_cache

import cv2
import numpy as np
import pytest

from birads_app.imaging.decode import Mammogram, decode
from birads_app.imaging.dicom import grayscale
from birads_app.imaging.grayscale_range import read
from birads_app.terms.errors import UnreadableImage
from tests.support import contradictory_headers, dicom_files, faulty_files
from tests.support.factories import TOMOSYNTHESIS, breast
from tests.support.faulty_files import RAW, Pair, built, plain
from tests.support.passes import passes

CASES = contradictory_headers.all_pairs()


@lru_cache(8)  # cases of one kind follow each other
def as_valid(data: bytes) -> Mammogram:
    return decode(data)


def assert_same(pair: Pair, found: Mammogram) -> None:
    sound = as_valid(pair.sound)
    expected = {note.code for note in sound.notes} | {pair.note}
    expected -= {None, "no-window"} if pair.note == "window-ignored" else {None}
    assert {note.code for note in found.notes} == expected
    assert np.array_equal(found.pixels, sound.pixels)


@pytest.mark.parametrize("name", CASES)
def test_it_is_shown_as_with_the_right_header(name: str) -> None:
    pair = CASES[name]
    assert_same(pair, decode(pair.faulty))
    values = (read(data).values.astype(int) for data in (pair.faulty, pair.sound))
    assert np.abs(np.subtract(*values)).max() <= 1  # rescaling may round


@pytest.mark.parametrize("name", CASES)
def test_it_is_shown_alike_without_the_identity(name: str) -> None:
    pair = CASES[name]
    prepared = faulty_files.deidentified(pair.faulty)
    assert_same(pair, prepared.mammogram)
    assert np.array_equal(decode(prepared.data).pixels, prepared.mammogram.pixels)


def codes(data: bytes) -> list[str]:
    return [note.code for note in decode(data).notes]


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_noise_is_left_alone(bits: int, signed: bool) -> None:
    noise = np.random.default_rng(bits).integers(0, 1 << bits, (200, 160))
    raw = (noise - (1 << (bits - 1)) * signed).astype(("i" if signed else "u") + ("1" if bits == 8 else "2"))
    assert codes(plain(raw, BitsStored=bits, HighBit=bits - 1, WindowCenter=None, WindowWidth=None)) == [
        "no-window"
    ]


def test_a_label_of_the_largest_value_does_not_make_values_signed() -> None:
    dark = (RAW // 2).astype(np.uint16)
    dark[10:40:2, 200:240] = 4095
    assert codes(plain(dark)) == []


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("seed", range(4))
def test_sound_films_keep_their_polarity(photometric: str, seed: int) -> None:
    film = breast(400, 320, seed=seed) >> 4
    raw = (4095 - film if photometric == "MONOCHROME1" else film).astype(np.uint16)
    found = decode(plain(raw, PhotometricInterpretation=photometric))
    assert found.notes == () and np.abs(found.pixels.astype(int) - film * (65535 / 4095)).max() <= 40


def test_a_detail_without_air_keeps_its_polarity() -> None:
    detail = (breast(900, 900)[300:600, 50:350] >> 4).astype(np.uint16)
    assert codes(plain(detail, PhotometricInterpretation="MONOCHROME1")) == []


@pytest.mark.parametrize("value", [0, 30, 40])
def test_the_background_stays_padding(value: int) -> None:
    raw = RAW.copy()
    raw[:, 180:] = value
    padding = {"PixelPaddingValue": value}
    assert codes(plain(raw, **padding)) == codes(plain(4095 - raw, PixelPaddingValue=4095 - value)) == []


def test_detector_values_whose_sign_is_wrong_are_turned() -> None:
    intensity = np.rint(16000 * np.exp(-4.0 * breast(320, 256) / 65535)).astype(np.uint16)
    depth = {"BitsStored": 14, "HighBit": 13, "WindowCenter": None, "WindowWidth": None}
    given = {**depth, "PresentationIntentType": "FOR PROCESSING"}
    sound = decode(plain(intensity, **given, PixelIntensityRelationshipSign=1))
    assert [note.code for note in sound.notes] == ["for-processing"]
    faulty = decode(plain(intensity, **given, PixelIntensityRelationshipSign=-1))
    assert np.array_equal(faulty.pixels, sound.pixels)
    assert [note.code for note in faulty.notes] == ["polarity-corrected", "for-processing"]


def test_a_volume_of_which_the_polarity_is_wrong_is_projected_as_it_is_shown() -> None:
    slices = np.stack([breast(320, 256, seed=seed) >> 4 for seed in range(3)])
    made = {
        name: built(
            slices[0],
            SOPClassUID=TOMOSYNTHESIS,
            NumberOfFrames=3,
            PhotometricInterpretation=name,
            PixelData=slices.astype("<u2").tobytes(),
        )
        for name in ("MONOCHROME1", "MONOCHROME2")
    }
    faulty, sound = (decode(dicom_files.as_bytes(one)) for one in made.values())
    assert np.array_equal(faulty.pixels, sound.pixels)
    assert "polarity-corrected" in [note.code for note in faulty.notes]


def test_the_checks_take_little_more_than_a_pass_over_a_film() -> None:
    film = cv2.resize(breast(), (3328, 4096)) >> 4
    header = built(film)
    header.set_original_encoding(False, True)
    # Half of it is the rendering's own tables.
    assert passes(lambda: grayscale.rendering(header, film), film) < 1.5


def test_16_bits_declared_as_8_are_refused_by_name() -> None:
    with pytest.raises(UnreadableImage) as caught:
        decode(plain(BitsAllocated=8, BitsStored=8, HighBit=7))
    assert caught.value.message.code == "pixel-data-deeper"
