"""A file as it came, whose header is parsed at most once."""

import io
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any

from birads_app.files.shared_bytes import SharedBytes
from birads_app.imaging import raster
from birads_app.imaging.decode import damage_named, format_of
from birads_app.imaging.dicom import parser, pixel_data
from birads_app.imaging.dicom.parser import ParsedDicom
from birads_app.imaging.file_signatures import HEAD
from birads_app.terms.errors import InputError


@dataclass(frozen=True)
class SourceFile:
    """A file with the user's name for it, which may contain a patient's name.

    set_laterality, set_view : as a person has set them for a file that does not state them; None if nobody has
    """

    name: str
    content: bytes | SharedBytes = field(repr=False)
    set_laterality: str | None = None
    set_view: str | None = None

    @property
    def head(self) -> bytes:
        """The first :data:`birads_app.imaging.file_signatures.HEAD` bytes, which tell the type."""
        return self.content[:HEAD] if isinstance(self.content, bytes) else self.content.head(HEAD)

    @cached_property
    def data(self) -> bytes:
        """All bytes; shared ones are copied into this process."""
        return self.content if isinstance(self.content, bytes) else self.content.read()

    def stream(self) -> IO[bytes]:
        """Return a stream of the bytes."""
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.stream()

    @cached_property
    def format(self) -> str:
        """Format, as :func:`birads_app.imaging.decode.format_of`."""
        return format_of(self.head, self.name)

    @property
    def dicom(self) -> ParsedDicom:
        """The parsed file; raises InputError as :func:`birads_app.imaging.dicom.parser.parse`."""
        if isinstance(self._parsed, InputError):
            raise self._parsed.with_traceback(None)
        return self._parsed

    @cached_property
    def _parsed(self) -> ParsedDicom | InputError:
        """The parsed file, or why it cannot be parsed, which takes as long."""
        try:
            with damage_named():
                return parser.parse(self.data)
        except InputError as error:
            return error.with_traceback(None)

    @property
    def pixels(self) -> int:
        """Declared number of pixels of a frame; raises InputError if there is none."""
        with damage_named():
            if self.format != "DICOM":
                return raster.declared_pixels(self.data, self.format)
            parser.require_image(self.dicom)
            size = pixel_data.layout(self.dicom.dataset)
            return size.rows * size.columns

    def __getstate__(self) -> dict[str, Any]:
        """Name and content alone, for another process."""
        return {"name": self.name, "content": self.content}
