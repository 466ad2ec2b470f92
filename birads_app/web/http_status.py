"""The HTTP status of every domain error: the one table that pages, API and intake share."""

from birads_app.records import errors as records
from birads_app.terms import errors as core

# The most special class first: the first that fits counts.
_STATUSES: tuple[tuple[type[core.BiradsError], int], ...] = (
    (core.EmptyFile, 400),
    (core.UnsupportedFormat, 415),
    (core.ImageTooLarge, 413),
    (core.InputError, 422),
    (core.NotForService, 409),
    (core.ModelError, 503),
    (records.NotFound, 404),
    (records.NoStudy, 404),
    (records.NameTaken, 409),
    (records.LastAdministrator, 409),
    (records.TrainingRefused, 409),
    (records.TooManyAttempts, 429),
    (records.NotAllowed, 403),
    (records.SiteKeyDiffers, 503),
    (records.InvalidAccount, 422),
    (records.InvalidAssessment, 422),
    (core.BiradsError, 500),
)


def status_of(error: core.BiradsError) -> int:
    """The HTTP status that answers a domain error."""
    return next(status for kind, status in _STATUSES if isinstance(error, kind))
