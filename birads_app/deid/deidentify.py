"""De-identification of DICOM files by the Basic Profile of PS3.15 Annex E.

The profile's table (edition 2024b) and its dummy values come from the package dicom-anonymizer, which applies it to
top-level elements only; here it applies at every nesting level. Beyond the profile, elements that the table does not
list are removed unless :mod:`birads_app.deid.allowlist` contains them. Options of the profile: Retain Longitudinal
Temporal Information with Modified Dates, Retain Patient Characteristics (the age, under 90).
"""

import hashlib
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cache

from dicomanonymizer import simpledicomanonymizer as library
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from birads_app.deid import allowlist
from birads_app.deid.codestream import without_comments
from birads_app.deid.identity import read_identity, read_instance
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.deid.view_description import keep_view
from birads_app.imaging.dicom import parser, part10
from birads_app.imaging.dicom.encapsulation import encapsulated_frames
from birads_app.imaging.dicom.parser import ParsedDicom
from birads_app.imaging.dicom.part10 import Chunks
from birads_app.imaging.dicom.tomosynthesis import frame_count
from birads_app.imaging.dicom.view import StatedView, view_of
from birads_app.records.identities import Identity, Instance
from birads_app.terms.errors import InputError, UnreadableImage
from birads_app.terms.messages import msg

_METHOD = "PS3.15 Basic Profile; dates moved by patient"
# CID 7050.
_METHOD_CODES = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
# The table's actions, grouped by how they are applied here.
_REMOVED = {
    library.delete,
    library.delete_or_empty,
    library.delete_or_replace,
    library.delete_or_empty_or_replace,
}
_REPLACED_UID = {library.replace_UID, library.delete_or_empty_or_replace_UID}

Action = Callable[[Dataset, tuple[int, int]], None]


@dataclass(frozen=True)
class Deidentified:
    """A de-identified header, the identity removed from it, and the view as the received header states it."""

    header: Dataset
    view: StatedView
    identity: Identity
    instance: Instance


def deidentify(file: ParsedDicom, pseudonyms: Pseudonyms) -> Deidentified:
    """Return a copy of a file's header without the identity; the file itself stays as it is.

    Raises
    ------
    UnreadableImage
        The header is damaged.
    """
    try:
        identity, instance = read_identity(file.dataset), read_instance(file.dataset)
        header = _clean(file.dataset, identity, pseudonyms)
        _describe(header, identity, pseudonyms)
        view = view_of(file.dataset)
        keep_view(header, view)
        if not instance.sop_uid:
            header.SOPInstanceUID = pseudonyms.uid(hashlib.sha256(file.data).hexdigest())
        return Deidentified(header, view, identity, instance)
    except InputError:
        raise
    except Exception as error:  # any error of the parser caused by a damaged file
        raise UnreadableImage(msg("file-damaged")) from error


def with_frames_of(file: ParsedDicom, header: Dataset) -> Chunks:
    """Encode a Part 10 file of another header and the encoded pixels of a file, without comments in these.

    Raises UnreadableImage as :func:`birads_app.imaging.dicom.encapsulation.encapsulated_frames`.
    """
    if not file.pixels.encapsulated:
        return part10.encode(header, file.pixels.syntax, file.pixels.fragments)
    frames = encapsulated_frames(file.pixels.fragments, frame_count(file.dataset))
    if file.pixels.syntax != RLELossless:
        frames = [memoryview(without_comments(bytes(frame))) for frame in frames]
    return part10.encode(header, file.pixels.syntax, frames)


def _clean(dataset: Dataset, identity: Identity, pseudonyms: Pseudonyms) -> Dataset:
    """Build a data set with the allowed content at every nesting level."""
    cleaned = Dataset()
    for element in _elements(dataset):
        replacement = _cleaned(element, dataset, identity, pseudonyms)
        if replacement is not None:
            cleaned.add(replacement)
    cleaned.set_original_encoding(*dataset.original_encoding)
    return cleaned


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    """Yield copies of the elements that can be read and are in the dictionary, which private ones are not."""
    for tag in list(dataset.keys()):
        if tag.is_private:
            continue
        try:
            element = dataset[tag]
        except Exception:  # noqa: S112  # nothing of an element that cannot be read is needed
            continue
        if element.keyword:
            yield copy(element)


def _cleaned(
    element: DataElement, parent: Dataset, identity: Identity, pseudonyms: Pseudonyms
) -> DataElement | None:
    """Return the retained part of an element; None if it is removed."""
    keyword, action = element.keyword, _actions().get((element.tag.group, element.tag.element))
    if keyword in allowlist.DATES:
        date = pseudonyms.date(str(element.value or "")[:8], identity)
        return DataElement(element.tag, dictionary_VR(element.tag), date)
    if keyword in allowlist.EMPTIED:
        vr = dictionary_VR(element.tag)
        return DataElement(element.tag, vr, [] if vr == "SQ" else "")
    if element.VR == "SQ" and (keyword in allowlist.ALLOWED or action in _REPLACED_UID):
        items = [_clean(item, identity, pseudonyms) for item in element.value]
        return DataElement(element.tag, "SQ", [item for item in items if _is_whole(item)])
    if keyword == "CodeMeaning":
        meaning = allowlist.meaning(parser.text(parent, "CodeValue"))
        return None if meaning is None else DataElement(element.tag, "LO", meaning)
    if keyword in allowlist.ALLOWED:
        return _checked(element)
    if action is None or action in _REMOVED or element.VR == "SQ":
        return None
    return _with_other_uids(element, pseudonyms) if element.VR == "UI" else _dummy(element, action)


def _is_whole(item: Dataset) -> bool:
    """Return False for an empty sequence item, or a code that has lost its value."""
    return len(item) > 0 and ("CodingSchemeDesignator" not in item or "CodeValue" in item)


def _checked(element: DataElement) -> DataElement | None:
    """Remove values that are not allowed from an allowed element; in lists they become empty to keep positions."""
    if isinstance(element.value, bytes | bytearray):
        return element if allowlist.is_allowed(element.keyword, element.VR, bytes(element.value)) else None
    values = element.value if element.VM > 1 else [element.value]
    fine = [allowlist.is_allowed(element.keyword, element.VR, value) for value in values]
    if all(fine):
        return element
    if element.VM <= 1 or element.VR != "CS":
        return None
    return DataElement(
        element.tag, "CS", [value if ok else "" for value, ok in zip(values, fine, strict=True)]
    )


def _with_other_uids(element: DataElement, pseudonyms: Pseudonyms) -> DataElement:
    """Replace the UIDs of an element, each consistently by the same one."""
    values = [element.value] if element.VM <= 1 else list(element.value)
    replaced = [pseudonyms.uid(str(value)) for value in values if value]
    return DataElement(element.tag, "UI", replaced[0] if len(replaced) == 1 else replaced)


def _dummy(element: DataElement, action: Action) -> DataElement | None:
    """Return the library's dummy for an element; None if it has none."""
    holder = Dataset()
    holder.add(element)
    try:
        action(holder, (element.tag.group, element.tag.element))
    except NotImplementedError:
        return None
    found: DataElement | None = holder.get(element.tag)
    return found


def _describe(header: Dataset, identity: Identity, pseudonyms: Pseudonyms) -> None:
    """Write the pseudonym and the de-identification method into the header."""
    header.PatientName = header.PatientID = pseudonyms.patient(identity)
    header.PatientBirthDate = ""
    header.setdefault("PixelRepresentation", 0)
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = _METHOD
    header.DeidentificationMethodCodeSequence = [_code(*code) for code in _METHOD_CODES]
    header.LongitudinalTemporalInformationModified = "MODIFIED"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


@cache
def _actions() -> dict[tuple[int, ...], Action]:
    """Return the profile's table: action by tag."""
    actions: dict[tuple[int, ...], Action] = library.initialize_actions_2024b()
    return actions
