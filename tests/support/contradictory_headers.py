"""Files whose header contradicts the pixels, each paired with a file whose header is correct."""

import io
from collections.abc import Iterator
from functools import cache

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset

from tests.support import dicom_files
from tests.support.factories import breast
from tests.support.faulty_files import RAW, Pair, built, compressed, plain

_SIXTEEN = breast(320, 256)
_FOURTEEN = _SIXTEEN >> 2
_NO_WINDOW = {"WindowCenter": None, "WindowWidth": None}


def table(
    entries: list[int],
    bits: int,
    *,
    first: int = 0,
    count: int | None = None,
    keyword: str = "VOILUTSequence",
    packed: bool = False,
) -> dict:
    """Elements with one look-up table, and without a window.

    count : described number of entries
    packed : True for two entries of 8 bits in a word
    """
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [(len(entries) if count is None else count) % 65536, first, bits])
    data = np.array(entries, "u1" if packed else "<u2").tobytes()
    item.add_new("LUTData", "OW", data + bytes(len(data) % 2))
    window = _NO_WINDOW if keyword == "VOILUTSequence" else {}
    return {keyword: [item], **window}


def _curved(top: int, size: int = 4096) -> list[int]:
    return [round(top * (place / (size - 1)) ** 0.8) for place in range(size)]


@cache
def all_pairs() -> dict[str, Pair]:
    """The pairs of this module by name."""
    return dict([*tables(), *stored(), *presentation()])


def tables() -> Iterator[tuple[str, Pair]]:
    """Look-up tables."""
    for actual in (8, 10, 12, 14, 16):
        for described in (8, 10, 12, 14, 16):
            entries = _curved((1 << actual) - 1)
            sound = plain(**table(entries, actual))
            if actual != described:
                faulty = plain(**table(entries, described))
                yield (
                    f"entries of {actual} bits, described as {described}",
                    Pair(faulty, sound, "voi-lut-depth-corrected"),
                )
    entries = _curved(4095)
    more = plain(**table(entries, 12, count=2000))
    yield "more entries than described", Pair(more, plain(**table(entries, 12)))
    fewer = plain(**table(entries[:2000], 12, count=4096))
    yield "fewer entries than described", Pair(fewer, plain(**_NO_WINDOW))
    entries = _curved(255)
    sound = plain(**table(entries, 8))
    yield "8-bit entries packed", Pair(plain(**table(entries, 8, packed=True)), sound)
    odd = table([*entries, 255], 8, packed=True)
    yield "an odd number of packed entries", Pair(plain(**odd), plain(**table([*entries, 255], 8)))
    described = plain(**table(entries, 16, packed=True))
    yield "packed, described as 16 bits", Pair(described, sound, "voi-lut-depth-corrected")
    numbers = table(entries, 8, packed=True)
    item = numbers["VOILUTSequence"][0]
    words = np.frombuffer(item.LUTData, "<u2").tolist()
    del item.LUTData
    item.add_new("LUTData", "US", words)
    yield "packed, as numbers", Pair(plain(**numbers), sound)
    signed = (RAW.astype(np.int32) - 2048).astype(np.int16)
    entries = _curved(4095)
    depth = {"BitsStored": 16, "HighBit": 15}
    below = {**table(entries, 12, first=65536 - 2048), **depth}
    negative = {**table(entries, 12), **depth}
    del negative["VOILUTSequence"][0].LUTDescriptor
    negative["VOILUTSequence"][0].add_new("LUTDescriptor", "SS", [4096, -2048, 12])
    yield "a negative first value as unsigned", Pair(plain(signed, **below), plain(signed, **negative))
    rescaled = {**table(entries, 12, first=65536 - 1024), "RescaleSlope": 1, "RescaleIntercept": -1024}
    shifted = table(entries, 12)
    yield "a negative first value after rescaling", Pair(plain(**rescaled), plain(**shifted))
    top = table(_curved(65535), 16)
    as_signed = table(_curved(65535), 16)
    words = np.array(_curved(65535), "<u2").view("<i2").tolist()
    del as_signed["VOILUTSequence"][0].LUTData
    as_signed["VOILUTSequence"][0].add_new("LUTData", "SS", words)
    yield "entries as signed numbers", Pair(plain(**as_signed), plain(**top))
    modality = {"keyword": "ModalityLUTSequence"}
    curved = _curved(255)
    yield (
        "a modality table packed",
        Pair(
            plain(**table(curved, 8, packed=True, **modality), WindowCenter=128, WindowWidth=256),
            plain(**table(curved, 8, **modality), WindowCenter=128, WindowWidth=256),
        ),
    )
    wrong_depth = plain(**table(_curved(4095), 16, **modality))
    yield (
        "a modality table of another depth",
        Pair(wrong_depth, plain(**table(_curved(4095), 12, **modality))),
    )
    flat = plain(**table([700] * 4096, 12, **modality))
    yield "a modality table of one value", Pair(flat, plain(), "rescale-ignored")
    steps = plain(**table([700 * (place // 600) for place in range(4096)], 12, **modality))
    yield "a modality table of few values", Pair(steps, plain(), "rescale-ignored")


def stored() -> Iterator[tuple[str, Pair]]:
    """Bits Stored, High Bit and Pixel Representation."""
    wide = {"WindowCenter": 8192, "WindowWidth": 16384}
    fourteen = {"BitsStored": 14, "HighBit": 13}
    for name, window in (("a window", wide), ("no window", _NO_WINDOW)):
        sound = plain(_FOURTEEN, **fourteen, **window)
        faulty = plain(_FOURTEEN, **window)
        yield f"14 bits declared as 12, {name}", Pair(faulty, sound, "bits-stored-corrected")
        both = plain(_FOURTEEN, BitsStored=10, HighBit=9, **window)
        yield f"14 bits declared as 10, {name}", Pair(both, sound, "bits-stored-corrected")
    full = {"WindowCenter": 32768, "WindowWidth": 65536}
    sound = plain(_SIXTEEN, BitsStored=16, HighBit=15, **full)
    yield "16 bits declared as 12", Pair(plain(_SIXTEEN, **full), sound, "bits-stored-corrected")
    for syntax in (uid.JPEG2000, uid.JPEG2000Lossless, uid.JPEGLSNearLossless, uid.RLELossless):
        sound = compressed(syntax, _FOURTEEN, **fourteen, **wide)
        opened = dicom_files.dcmread(io.BytesIO(sound))
        opened.BitsStored, opened.HighBit = 12, 11
        faulty = dicom_files.as_bytes(opened, syntax)
        yield f"14 bits declared as 12, {syntax.name}", Pair(faulty, sound, "bits-stored-corrected")
    for name, bits in (("text", 0x1000), ("four planes", 0xF000)):
        overlaid = RAW.copy()
        overlaid[40:60:3, 20:200:2] |= bits
        overlaid[200:280, 30:60] |= bits
        yield f"an overlay in high bits, {name}", Pair(plain(overlaid), plain())
        yield (
            f"an overlay in high bits, {name}, no window",
            Pair(plain(overlaid, **_NO_WINDOW), plain(**_NO_WINDOW)),
        )
    yield "high bits that are always set", Pair(plain(RAW | 0xA000), plain())
    yield "pixel data of more rows", Pair(plain(Rows=300), plain(RAW[:300]), "pixel-data-longer")
    for stated in (0, 17):
        yield f"Bits Stored {stated}", Pair(plain(BitsStored=stated), plain(), "bits-stored-corrected")
    unstated = built()
    del unstated.BitsStored
    yield "no Bits Stored", Pair(dicom_files.as_bytes(unstated), plain())
    for high in (0, 10, 16):
        yield f"High Bit {high}", Pair(plain(HighBit=high), plain(), "high-bit-corrected")
    yield "High Bit too high", Pair(plain(RAW, HighBit=15), plain(), "high-bit-corrected")
    yield "High Bit too low", Pair(plain(RAW << 4), plain(), "high-bit-corrected")
    signed = {"PixelRepresentation": 1}
    yield "unsigned declared as signed", Pair(plain(**signed), plain(), "pixel-representation-corrected")
    negative = RAW.astype(np.int32) - 1300
    window = {"WindowCenter": 700, "WindowWidth": 4000, "BitsStored": 16, "HighBit": 15}
    yield (
        "signed declared as unsigned",
        Pair(
            plain(negative.astype(np.int16), **window, PixelRepresentation=0),
            plain(negative.astype(np.int16), **window),
            "pixel-representation-corrected",
        ),
    )
    extended = {"WindowCenter": 0, "WindowWidth": 4096, "PixelRepresentation": 1}
    twelve = (RAW.astype(np.int32) - 2048).astype(np.int16)
    masked = (twelve.view(np.uint16) & 0xFFF).astype(np.uint16)
    yield "a sign that is not extended", Pair(plain(masked, **extended), plain(twelve, **extended))


def presentation() -> Iterator[tuple[str, Pair]]:
    """Windows, rescaling, padding and polarity."""
    whole = plain(**_NO_WINDOW)
    for name, centre, width in (
        ("of an 8-bit copy", 128, 256),
        ("of an 8-bit copy, counted from 0", 127.5, 255),
        ("of 16 bits", 32768, 65536),
        ("of 14 bits", 8192, 16384),
        ("above all values", 60_000, 100),
        ("one wide", 1700, 1),
        ("ten wide", 1700, 10),
    ):
        yield f"a window {name}", Pair(plain(WindowCenter=centre, WindowWidth=width), whole, "window-ignored")
    two = plain(WindowCenter=[128, 2048], WindowWidth=[256, 4096])
    yield "a second window that fits", Pair(two, plain(), "window-skipped")
    lut = table([0] * 4095 + [4095], 12)
    both = plain(**{**lut, "WindowCenter": 2048, "WindowWidth": 4096})
    yield "a table that hides, and a window", Pair(both, plain(), "window-skipped")
    for name, slope, intercept in (
        ("slope 0", 0, 0),
        ("slope without number", "", 0),
        ("slope far too small", 1e-30, -1000),
        ("slope far too large", 1e307, 0),
        ("slope 0.001", 0.001, 0),
        ("slope 1000", 1000, 0),
        ("intercept out of reach", 1, -70_000),
    ):
        note = None if slope == "" else "rescale-ignored"
        faulty = plain(RescaleSlope=slope, RescaleIntercept=intercept)
        yield name, Pair(faulty, plain(), note)
    rescaled = plain(RescaleSlope=1e-30, RescaleIntercept=-1000, **_NO_WINDOW)
    yield "slope far too small, no window", Pair(rescaled, whole, "rescale-ignored")
    middle = int(np.median(RAW[RAW > 500]))
    for name, first, last in (("a value", middle, middle), ("values", middle - 200, middle + 200)):
        padding = {"PixelPaddingValue": first, "PixelPaddingRangeLimit": last}
        yield f"padding that is {name} of tissue", Pair(plain(**padding), plain(), "padding-ignored")
    everything = plain(PixelPaddingValue=0, PixelPaddingRangeLimit=4095)
    yield "padding that is everything", Pair(everything, plain(), "padding-ignored")
    yield "MONOCHROME", Pair(plain(PhotometricInterpretation="MONOCHROME"), plain())
    yield "GRAYSCALE", Pair(plain(PhotometricInterpretation="GRAYSCALE"), plain())
    turned = 4095 - RAW
    one, two = ({"PhotometricInterpretation": f"MONOCHROME{number}"} for number in (1, 2))
    yield "a negative as MONOCHROME1", Pair(plain(**one), plain(**two), "polarity-corrected")
    yield "a negative as MONOCHROME2", Pair(plain(turned, **two), plain(turned, **one), "polarity-corrected")
    inverse = plain(PresentationLUTShape="INVERSE")
    yield "a negative by Presentation LUT Shape", Pair(inverse, plain(), "polarity-corrected")
    no_window = Pair(plain(**one, **_NO_WINDOW), plain(**two, **_NO_WINDOW), "polarity-corrected")
    yield "a negative without a window", no_window
