"""HTTP status of every domain error, for pages and API."""

from birads_app.intake.admission import TooBusy, TooManyUploads
from birads_app.intake.ingest import IntakeRefused, NoFiles, TooManyFiles
from birads_app.records.disk_space import DiskFull, DiskReadOnly
from birads_app.records.errors import (
    AccountNameTaken,
    AiResultHidden,
    AuditLogBroken,
    DatasetRefused,
    FilesUnavailable,
    InvalidAccount,
    InvalidAssessment,
    InvalidHead,
    InvalidToken,
    InvalidView,
    KeptInBin,
    LastAdministrator,
    NoStudy,
    NotAllowed,
    NotFound,
    PatientNotCertain,
    ProviderFailed,
    ReasonMissing,
    RestoreUnfinished,
    SharedStateUnavailable,
    SignatureFinal,
    SignOnRefused,
    SiteKeyDiffers,
    TooManyAttempts,
    TrainingRefused,
)
from birads_app.terms.errors import (
    BiradsError,
    EmptyFile,
    ImageTooLarge,
    InputError,
    ModelError,
    NotForService,
    UnsupportedFormat,
)

# Subclasses before their bases: the first match counts.
_STATUSES: tuple[tuple[type[BiradsError], int], ...] = (
    (EmptyFile, 400),
    (NoFiles, 400),
    (TooManyFiles, 413),
    (UnsupportedFormat, 415),
    (ImageTooLarge, 413),
    (InputError, 422),
    (NotForService, 409),
    (ModelError, 503),
    (NotFound, 404),
    (NoStudy, 404),
    (PatientNotCertain, 409),
    (AccountNameTaken, 409),
    (LastAdministrator, 409),
    (TrainingRefused, 409),
    (DatasetRefused, 409),
    (TooManyAttempts, 429),
    (TooManyUploads, 429),
    (TooBusy, 503),
    (NotAllowed, 403),
    (SignOnRefused, 403),
    (ProviderFailed, 502),
    (SiteKeyDiffers, 503),
    (SharedStateUnavailable, 503),
    (FilesUnavailable, 503),
    (RestoreUnfinished, 503),
    (KeptInBin, 409),
    (ReasonMissing, 422),
    (DiskFull, 507),
    (DiskReadOnly, 503),
    (AuditLogBroken, 409),
    (InvalidHead, 422),
    (InvalidAccount, 422),
    (InvalidToken, 422),
    (InvalidAssessment, 422),
    (SignatureFinal, 409),
    (AiResultHidden, 403),
    (InvalidView, 422),
    (BiradsError, 500),
)


def status_of(error: BiradsError) -> int:
    """Return the HTTP status that answers a domain error.

    A rejected upload has the status of its problems if all have the same one, and 422 otherwise.
    """
    if isinstance(error, IntakeRefused):
        statuses = {status_of_class(problem.kind) for problem in error.problems}
        return statuses.pop() if len(statuses) == 1 else 422
    return status_of_class(type(error))


def status_of_class(kind: type[BiradsError]) -> int:
    """Return the HTTP status of a class of domain errors."""
    return next(status for special, status in _STATUSES if issubclass(kind, special))
