"""Errors of the core. Each message states what was received and what to do.

BiradsError
├── InputError               the file that was given
│   ├── EmptyFile
│   ├── UnsupportedFormat    a format, transfer syntax or object that is not read (HTTP 415)
│   ├── UnreadableImage      the right format, but damaged or without pixels
│   │   └── ReadingEnded     took more memory or time than allowed, or crashed a decoder
│   ├── ImageTooLarge        more pixels or bytes than the limit (HTTP 413)
│   ├── NotAMammogram        readable, but not a picture the model may judge
│   └── ModelArchiveRefused  an archive of a model that is damaged, changed or signed by somebody unknown
└── ModelError               the model that should answer
    ├── NoModel              none is there (HTTP 503)
    ├── BundleError          a bundle is damaged, incomplete or of a newer schema
    └── NotForService        the model was trained to be compared with, not to serve (HTTP 409)
"""


class BiradsError(Exception):
    """Root of the domain's errors; ``str(error)`` is fit to be shown to the user.

    message : the same, made with :func:`birads_app.terms.messages.msg` so that it can be translated
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InputError(BiradsError):
    """The given file cannot be used."""


class EmptyFile(InputError):
    """The file has no bytes."""


class UnsupportedFormat(InputError):
    """The file's format, transfer syntax or object type is not read."""


class UnreadableImage(InputError):
    """The format is known, but the file is damaged, truncated or has no pixels."""


class ReadingEnded(UnreadableImage):
    """The process that read the file ended, by a limit of memory or time or by a fault of a decoder."""


class ImageTooLarge(InputError):
    """The file has more bytes or pixels than are accepted."""


class NotAMammogram(InputError):
    """The picture can be read, but the model must not judge it."""


class ModelArchiveRefused(InputError):
    """The archive of a model is damaged or changed, or its signature is not accepted."""


class ModelError(BiradsError):
    """The model cannot answer."""


class NoModel(ModelError):
    """There is no model to serve."""


class BundleError(ModelError):
    """A model bundle is damaged, incomplete or of an unknown schema."""


class NotForService(ModelError):
    """The model was trained by a protocol whose models must not serve."""
