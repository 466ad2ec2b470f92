"""Grey values at full depth before any window, with the curves of the file's windows and tables.

:mod:`decode` applies one of these curves; a reader's window also reaches values that this one clips.
"""

from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from birads_app.imaging import raster
from birads_app.imaging.decode import damage_named, format_of
from birads_app.imaging.dicom import grayscale, parser, view_geometry
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis, read_pixels
from birads_app.imaging.resample import square
from birads_app.imaging.voi_lut import Curve

_TOP = 65535


@dataclass(frozen=True)
class GreyScale:
    """Image before any window.

    values : uint16 array of shape (height, width), linear in the measured value; larger is brighter, padding 0
    ends : values after the modality LUT that 0 and 65535 stand for; None if these have no meaning to a reader, as
        for logarithms and stretched values
    presets : curves over 0..65535; the first gives the image of :func:`decode.decode`
    pixel_spacing : (row, column) distance of pixels in mm, else None
    """

    values: np.ndarray
    ends: tuple[float, float] | None
    presets: tuple[Curve, ...]
    pixel_spacing: tuple[float, float] | None


def read(data: bytes, tomosynthesis: Tomosynthesis = "mip") -> GreyScale:
    """Read a file's grey values; parameters and errors as :func:`birads_app.imaging.decode.decode`."""
    with damage_named():
        source = format_of(data)
        if source != "DICOM":
            return _of_picture(raster.read(data, source))
        file = parser.parse(data)
        raw, _ = read_pixels(file, tomosynthesis)
        return replace(
            _from_dicom(file.dataset, raw), pixel_spacing=view_geometry.pixel_spacing(file.dataset)
        )


def _of_picture(picture: raster.Picture) -> GreyScale:
    ends = (0.0, float((1 << picture.bits) - 1)) if picture.bits <= 16 else None  # others were stretched
    return GreyScale(picture.pixels, ends, (Curve(0.0, _TOP, source="picture"),), None)


def _from_dicom(dataset: Dataset, raw: np.ndarray) -> GreyScale:
    """Scale the range of values to 0..65535, or to 1..65535 above the padding's 0."""
    found = grayscale.rendering(dataset, raw)
    sign = -1.0 if found.inverted else 1.0
    brightness = sign * found.measured
    low, high = grayscale.span(brightness, found.padding, raw)
    first = 1.0 if found.padding.any() else 0.0
    factor = (_TOP - first) / (high - low) if high > low else 1.0
    offset = first - factor * low
    scale = np.rint(np.clip(factor * brightness + offset, first, _TOP)).astype(np.uint16)
    scale[found.padding] = 0
    curves = [curve.turned() if found.inverted else curve for curve in found.curves]
    presets = [curve.moved(factor, offset) for curve in curves]
    if all(curve.source != "range" for curve in presets):
        presets.append(Curve(first, _TOP, source="range"))
    own = [sign * (value - offset) / factor for value in (0, _TOP)]
    unnamed = presets[0].source == "raw"
    values = square(grayscale.look_up(scale, raw), view_geometry.aspect(dataset))
    return GreyScale(values, None if unnamed else (own[0], own[1]), tuple(presets), None)
