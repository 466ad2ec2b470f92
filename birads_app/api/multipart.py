"""Files of a multipart body, each handed on as soon as it is complete, while the next one arrives."""

from collections.abc import Iterator

from flask import Request
from werkzeug.exceptions import BadRequest
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from birads_app.files.shared_bytes import SharedBytes
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.draft_exam import base_name
from birads_app.records.upload_store import UploadDraft

PART = "file"
# Small enough that the allocator takes it from its heap: fresh memory would have to be cleared.
_CHUNK = 1 << 16


def files_of(request: Request) -> Iterator[SourceFile]:
    """Yield the parts of a request's body that are files named :data:`PART`.

    Raises
    ------
    BadRequest
        The body is not valid multipart/form-data, or is cut off.
    RequestEntityTooLarge
        It has too many bytes or parts.
    """
    current: File | Field | None = None
    content = SharedBytes.of(())
    for event in _events(request):
        if isinstance(event, File | Field):
            current, content = event, SharedBytes.of(())
        elif isinstance(event, Data) and isinstance(current, File) and current.name == PART:
            content.append(event.data)
            if not event.more_data:
                yield SourceFile(base_name(current.filename), content)


def write_files(request: Request, draft: UploadDraft) -> None:
    """Write the same files into a draft as they arrive; errors as :func:`files_of`."""
    current: File | Field | None = None
    for event in _events(request):
        if isinstance(event, File | Field):
            current = event
            if isinstance(event, File) and event.name == PART:
                draft.begin(base_name(event.filename))
        elif isinstance(event, Data) and isinstance(current, File) and current.name == PART:
            draft.add(event.data)


def _events(request: Request) -> Iterator[Event]:
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary:
        raise BadRequest("The Content-Type has no boundary. Let your HTTP library build the multipart body.")
    decoder = MultipartDecoder(boundary.encode("latin-1"), max_parts=request.max_form_parts)
    try:
        while not isinstance(event := decoder.next_event(), Epilogue):
            if isinstance(event, NeedData):
                decoder.receive_data(request.stream.read(_CHUNK) or None)
            else:
                yield event
    except ValueError as error:
        raise BadRequest(
            "The body is not valid multipart/form-data, or was cut off. Send it again."
        ) from error
