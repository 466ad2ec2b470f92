"""Pixel spacing, pixel shape, magnification and field of view from a DICOM header."""

import math

from pydicom.dataset import Dataset

from birads_app.imaging.dicom.parser import items, text, value_of
from birads_app.imaging.resample import enlargement, is_plausible

_SPACINGS_MM = (0.005, 2.0)  # what can be a mammogram's pixel spacing
_FACTORS = (1.0, 5.0)  # what can be a magnification
MAGNIFIED = 1.2  # a magnification view's factor begins above; contact views have up to about 1.1
_SAME = 0.01  # relative deviation of spacings that are copies of each other
# Sides of a small field of view in mm: detectors have from 180 mm, spot and biopsy fields up to 100 mm.
_SMALL_FIELD_MM = (40.0, 120.0)


def pixel_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Return (row, column) spacing in mm in the plane of the breast, after squaring pixels; None if unknown."""
    stated, height = _stated_spacing(dataset), aspect(dataset)
    if stated is None or not is_plausible(height):
        return None
    finest = min(stated)
    return stated if enlargement(height) == (1, 1) else (finest, finest)


def aspect(dataset: Dataset) -> float:
    """Return height over width of a stored pixel, for :func:`birads_app.imaging.resample.square`.

    Computed from the pixel spacing, else from (0028,0034) *Pixel Aspect Ratio*; 1 if unknown.
    """
    height, width = _stated_spacing(dataset) or _pair(value_of(dataset, "PixelAspectRatio")) or (1.0, 1.0)
    return height / width if min(height, width) > 0 else 1.0


def magnification(dataset: Dataset) -> float:
    """Return the size of the breast on the detector over its true size; 1 if unknown.

    By (0018,1114) *Estimated Radiographic Magnification Factor*, else by (0018,1110) *Distance Source to Detector* over
    (0018,1111) *Distance Source to Patient*, else by (0018,1164) *Imager Pixel Spacing* over (0028,0030) *Pixel
    Spacing*. A factor of contact views does not hide distances of a magnification.
    """
    sources = (dataset, *items(dataset, "XRay3DAcquisitionSequence")[:1])
    factors = [_number(source, "EstimatedRadiographicMagnificationFactor") for source in sources]
    factors += [*(_by_distances(source) for source in sources), _by_spacings(dataset)]
    plausible = [factor for factor in factors if factor is not None and _FACTORS[0] <= factor <= _FACTORS[1]]
    return next((factor for factor in plausible if factor > MAGNIFIED), next(iter(plausible), 1.0))


def is_small_field(dataset: Dataset) -> bool:
    """Return True if (0018,1149) *Field of View Dimension(s)* is too small for a whole breast."""
    sides = _numbers(value_of(dataset, "FieldOfViewDimensions"))
    return bool(sides) and _SMALL_FIELD_MM[0] <= max(sides) <= _SMALL_FIELD_MM[1]


def positioner_angle(dataset: Dataset) -> float | None:
    """Return (0018,1510) *Positioner Primary Angle* without its sign, in degrees; None if it is absent."""
    angle = _number(dataset, "PositionerPrimaryAngle")
    return None if angle is None else abs(angle)


def _stated_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Return the (row, column) spacing of the stored pixels in mm.

    (0028,0030) *Pixel Spacing*, else (0018,1164) *Imager Pixel Spacing* over the magnification, else the
    scanner's (0018,2010) *Nominal Scanned Pixel Spacing*. A Pixel Spacing that repeats the Imager Pixel Spacing is not
    corrected for magnification (PS3.3 10.7.1.3), so that it is divided too.
    """
    imager = _pair(value_of(dataset, "ImagerPixelSpacing"))
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pair = _pair(_spacing_value(dataset, keyword))
        if pair is None:
            continue
        on_detector = keyword == "ImagerPixelSpacing" or (
            keyword == "PixelSpacing" and _is_copy(pair, imager)
        )
        factor = magnification(dataset) if on_detector else 1.0
        row, column = pair[0] / factor, pair[1] / factor
        if all(_SPACINGS_MM[0] <= value <= _SPACINGS_MM[1] for value in (row, column)):
            return row, column
    return None


def _spacing_value(dataset: Dataset, keyword: str) -> object:
    """Return an element's value; the Pixel Spacing of enhanced objects from their functional groups."""
    found = value_of(dataset, keyword)
    if found is None and keyword == "PixelSpacing":
        for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
            for group in items(dataset, groups)[:1]:
                for measures in items(group, "PixelMeasuresSequence")[:1]:
                    return value_of(measures, keyword)
    return found


def _is_copy(pair: tuple[float, float], imager: tuple[float, float] | None) -> bool:
    if imager is None or min(imager) <= 0:
        return False
    return all(abs(one / other - 1) <= _SAME for one, other in zip(pair, imager, strict=True))


def _by_distances(dataset: Dataset) -> float | None:
    detector, patient = (
        _number(dataset, keyword) for keyword in ("DistanceSourceToDetector", "DistanceSourceToPatient")
    )
    return detector / patient if detector and patient else None


def _by_spacings(dataset: Dataset) -> float | None:
    imager, patient = (
        _pair(value_of(dataset, keyword)) for keyword in ("ImagerPixelSpacing", "PixelSpacing")
    )
    if imager is None or patient is None or min(*imager, *patient) <= 0:
        return None
    across, along = imager[0] / patient[0], imager[1] / patient[1]
    return across if abs(across / along - 1) <= _SAME else None


def _number(dataset: Dataset, keyword: str) -> float | None:
    try:
        number = float(text(dataset, keyword))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _numbers(value: object) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in (value if hasattr(value, "__iter__") else (value,)))
    except (TypeError, ValueError):
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def _pair(value: object) -> tuple[float, float] | None:
    numbers = _numbers(value)
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None
