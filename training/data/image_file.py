"""A file of a data set, which is opened once and whose header is parsed once."""

from dataclasses import replace
from functools import cached_property
from typing import BinaryIO

from birads_app.imaging.decode import Mammogram, damage_named, decode, decode_dicom
from birads_app.imaging.dicom import parser
from birads_app.imaging.dicom.parser import ParsedDicom
from birads_app.terms.errors import InputError

# Stripped values by the names in birads_app.terms.spelling.COLUMNS, without empty ones.
Header = dict[str, str]

# Identifiers by which labels are joined, and values that a table may have as well.
_TAGS = {
    "instance": "SOPInstanceUID",
    "accession": "AccessionNumber",
    "patient": "PatientID",
    "view": "ViewPosition",
    "side": "ImageLaterality",
    "date": "StudyDate",
}
# The pixels of nearly all files begin within so many bytes, which suffice for the header then.
_BEGINNING = 1 << 18


class ImageFile:
    """An open file; of a DICOM file the header can be had without reading the pixels."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        """Read the beginning of a file; raises OSError."""
        self._name, self._stream = name, stream
        self._beginning = stream.read(_BEGINNING)

    @cached_property
    def data(self) -> bytes:
        """Content of the file; raises OSError."""
        return self._beginning + self._stream.read()

    @cached_property
    def header(self) -> Header | None:
        """Values of the header; None if the file is not DICOM, and empty if it is damaged."""
        if not self._is_dicom:
            return None
        try:
            dataset = self._parsed.dataset
        except InputError:
            return {}
        values = {name: parser.text(dataset, tag) for name, tag in _TAGS.items()}
        return {name: value for name, value in values.items() if value}

    def decode(self) -> Mammogram:
        """Read the mammogram; errors as :func:`birads_app.imaging.decode.decode`."""
        if not self._is_dicom:
            return decode(self.data, self._name)
        parsed = self._parsed
        whole = replace(parsed, data=self.data) if parsed.data is self._beginning else parsed
        return decode_dicom(whole, self._name)

    @property
    def _is_dicom(self) -> bool:
        return parser.is_dicom(self._beginning)

    @cached_property
    def _parsed(self) -> ParsedDicom:
        """The header, with the beginning of the file as its data if the pixels begin there."""
        with damage_named():
            if len(self._beginning) == _BEGINNING:
                try:
                    parsed = parser.parse(self._beginning)
                except InputError:
                    pass  # the header goes on, or is damaged
                else:
                    if parsed.first_pixels is not None and parsed.data is self._beginning:
                        return parsed
            return parser.parse(self.data)
