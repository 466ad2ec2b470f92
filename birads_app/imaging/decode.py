"""Decode a file to a :class:`Mammogram`: a grey image and the information that the file holds about it.

The format is detected from the bytes; the file name only helps to word an error. DICOM is read by
:mod:`birads_app.imaging.dicom`, other formats by :mod:`birads_app.imaging.raster`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from birads_app.imaging import raster, view_estimation, view_filename
from birads_app.imaging.dicom import grayscale, parser, pixel_data, view_geometry, view_notes
from birads_app.imaging.dicom.tomosynthesis import Tomosynthesis, read_pixels
from birads_app.imaging.dicom.view import StatedView, view_of
from birads_app.imaging.file_signatures import HEAD, recognise
from birads_app.imaging.resample import square
from birads_app.terms.errors import EmptyFile, InputError, UnreadableImage, UnsupportedFormat
from birads_app.terms.messages import Message, join, msg
from birads_app.terms.views import ViewRole, role_of

_ACCEPTED = msg("accepted-formats")
_NO_DICOM = msg("not-dicom-despite-name")
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # beginning of the classes of pictures from elsewhere


@dataclass(frozen=True)
class Mammogram:
    """An image as a reader sees it, with the information of its file.

    pixels : uint16 array of shape (height, width); 0 black .. 65535 white, dense tissue bright, air dark. Pixels
        are square if the DICOM file states their shape
    source : "DICOM", "PNG", "JPEG", "TIFF", "BMP" or "PGM"
    bits : bits of a stored value
    view : "CC", "MLO", ... from the header or the file name, else estimated from the image, else None
    laterality : "L" or "R" likewise; a note is added if it is estimated
    pixel_spacing : (row, column) distance of pixels in mm, else None
    saturation : 0 grey .. 1; spread between R, G and B relative to the brightness, mean over the image
    notes : messages about how the file was understood
    view_modifiers : names in :data:`birads_app.terms.views.MODIFIERS`
    role : standard views alone count for the breast's prediction
    view_stated, laterality_stated : True if the file says something about it, understood or not
    camera : True if the file states a camera's exposure, False if it comes from a detector, None if neither is known
    """

    pixels: np.ndarray
    source: str
    bits: int
    view: str | None
    laterality: str | None
    pixel_spacing: tuple[float, float] | None
    saturation: float
    notes: tuple[Message, ...]
    view_modifiers: tuple[str, ...] = ()
    role: ViewRole = ViewRole.UNKNOWN
    view_stated: bool = False
    laterality_stated: bool = False
    camera: bool | None = None


def decode(data: bytes, filename: str = "", tomosynthesis: Tomosynthesis = "mip") -> Mammogram:
    """Read a mammogram.

    Parameters
    ----------
    data : content of the file
    filename : the user's name for it; side and view are taken from it if the header lacks them
    tomosynthesis : "mip" to read a volume by its projection, or "refuse"

    Raises
    ------
    EmptyFile
        The file is empty.
    UnsupportedFormat
        The format, transfer syntax or kind of DICOM object is not supported.
    UnreadableImage
        The file is damaged, truncated or has no pixels.
    ImageTooLarge
        It declares more pixels than the limit.
    NotAMammogram
        A DICOM file declares something else, such as a quality control image.
    """
    with damage_named():
        source = format_of(data, filename)
        if source != "DICOM":
            return picture_mammogram(raster.read(data, source), source, filename)
        return decode_dicom(parser.parse(data), filename, tomosynthesis)


def decode_dicom(
    file: parser.ParsedDicom, filename: str = "", tomosynthesis: Tomosynthesis = "mip"
) -> Mammogram:
    """Read the mammogram of a parsed file; parameters and errors as :func:`decode`."""
    with damage_named():
        raw, notes = read_pixels(file, tomosynthesis)
        table, of_presentation = grayscale.presentation_table(file.dataset, raw)
        pixels = show(file, raw, table)
        return dicom_mammogram(file, view_of(file.dataset), pixels, notes + of_presentation, filename)


@contextmanager
def damage_named() -> Iterator[None]:
    """Raise UnreadableImage for any exception of a decoder."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise UnreadableImage(msg("out-of-memory")) from error
    except Exception as error:  # damaged files make decoders raise exceptions of any kind
        raise UnreadableImage(msg("file-damaged")) from error


def format_of(data: bytes, filename: str = "") -> str:
    """Detect a file's format by its first bytes; raises EmptyFile and UnsupportedFormat."""
    if not data:
        raise EmptyFile(msg("file-empty"))
    source = "DICOM" if parser.is_dicom(data) else raster.format_of(data)
    if source is None:
        raise UnsupportedFormat(_refusal(data, filename))
    return source


def show(file: parser.ParsedDicom, raw: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return the presentation values of raw pixels with square pixels, as :attr:`Mammogram.pixels`.

    Parameters
    ----------
    raw : uint8 or uint16 array of shape (rows, columns), as stored
    table : presentation value of each possible raw value
    """
    return square(grayscale.look_up(table, raw), view_geometry.aspect(file.dataset))


def dicom_mammogram(
    file: parser.ParsedDicom,
    stated: StatedView,
    pixels: np.ndarray,
    notes: tuple[Message, ...],
    filename: str,
) -> Mammogram:
    """Return the mammogram of a DICOM image.

    Parameters
    ----------
    stated : view as the header states it
    pixels : as :func:`show`
    notes : about pixels and presentation
    filename : as in :func:`decode`
    """
    found = Mammogram(
        pixels=pixels,
        source="DICOM",
        bits=pixel_data.layout(file.dataset).bits_stored,
        view=stated.view,
        laterality=stated.laterality,
        pixel_spacing=stated.pixel_spacing,
        saturation=0.0,
        notes=file.notes + notes + stated.notes,
        view_modifiers=stated.modifiers,
        role=stated.role,
        view_stated=stated.view_stated,
        laterality_stated=stated.laterality_stated,
        camera=None if parser.text(file.dataset, "SOPClassUID").startswith(_SECONDARY_CAPTURE) else False,
    )
    return _completed(found, filename)


def picture_mammogram(picture: raster.Picture, source: str, filename: str) -> Mammogram:
    """Return the mammogram of a decoded picture; ``filename`` as in :func:`decode`."""
    found = Mammogram(
        pixels=picture.pixels,
        source=source,
        bits=picture.bits,
        view=None,
        laterality=None,
        pixel_spacing=None,
        saturation=picture.saturation,
        notes=picture.notes,
        camera=picture.exposed or None,
    )
    return _completed(found, filename)


def _completed(found: Mammogram, filename: str) -> Mammogram:
    """Take side and view from the file's name if the header says nothing about them, else from the picture."""
    side, projection = view_filename.from_name(filename)
    modifiers, kind = ((), None) if found.view_stated else view_filename.qualified_by_name(filename)
    role = ViewRole.OTHER if kind else ViewRole.SPECIAL
    named = replace(
        found,
        laterality=found.laterality or (None if found.laterality_stated else side),
        view=found.view or (None if found.view_stated else projection),
        view_modifiers=found.view_modifiers or modifiers,
        notes=(
            *found.notes,
            *(view_notes.of_role(role, projection, modifiers, kind) if modifiers or kind else ()),
        ),
    )
    ask_view, ask_side = (
        not (named.view or named.view_stated),
        not (named.laterality or named.laterality_stated),
    )
    # The contour of a detail would mislead.
    if (ask_view or ask_side) and not (named.view_modifiers or kind or found.role is ViewRole.OTHER):
        projection, side = view_estimation.estimate(named.pixels)
        projection, side = projection if ask_view else None, side if ask_side else None
        if judged := " ".join(part for part in (side, projection) if part):
            named = replace(
                named,
                view=named.view or projection,
                laterality=named.laterality or side,
                notes=(*named.notes, msg("view-estimated", judged=judged)),
            )
    if found.view_stated:
        return named
    return replace(named, role=role if modifiers or kind else role_of(named.view))


def _refusal(data: bytes, filename: str) -> Message:
    """Return a message about an unsupported file and the accepted formats."""
    known = recognise(data[:HEAD])
    found = known.refusal if known else msg("unknown-format")
    called_dicom = filename.lower().endswith((".dcm", ".dicom"))
    return join([found, _ACCEPTED, *([_NO_DICOM] if called_dicom else [])])
