"""Errors of the records.

BiradsError
├── NotFound
├── AccountNameTaken
├── InvalidAccount      a name, role or password that no account may have
├── InvalidToken        a scope or lifetime that no token may have
├── LastAdministrator   no administrator would be left
├── TooManyAttempts     failed sign-ins
├── NotAllowed          the account's role does not permit this
├── InvalidAssessment   unknown terms, or breasts and images that the exam does not have
├── SignatureFinal      a signature can no longer be withdrawn
├── AiResultHidden      the AI result was not asked for
├── NoStudy             the exam has no DICOM study for its results
├── PatientNotCertain   the exam's files name different patients
├── TrainingRefused     a training cannot be started, stopped or resumed
├── DatasetRefused      a data set cannot be added, read or checked
├── AttemptOvertaken    another process has begun with the job
├── SharedStateUnavailable   Redis does not answer
├── FilesUnavailable    the place of images and uploads cannot be reached, or is full
├── RestoreUnfinished   the instance folder has half of a backup
├── ReasonMissing       an exam is to be deleted without a reason
├── KeptInBin           an exam of the bin is to be erased before its time
├── AuditLogBroken      an entry of the audit log is not as it was written
├── InvalidHead         a text is not a head of the audit log
├── SignOnRefused       at the identity provider, for a person without role or account
├── ProviderFailed      the identity provider does not answer, or not as it must
└── SiteKeyDiffers      data was encrypted with another site key
"""

from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg


class NotFound(BiradsError):
    """There is no such record."""


class AccountNameTaken(BiradsError):
    """There is already an account with this name."""


class InvalidAccount(BiradsError):
    """The name, role or password is not allowed for an account."""


class InvalidToken(BiradsError):
    """The scope or lifetime is not allowed for a token."""


class LastAdministrator(BiradsError):
    """No administrator would be left."""


class TooManyAttempts(BiradsError):
    """Too many failed sign-ins; ``wait`` is the number of seconds until the next attempt."""

    def __init__(self, wait: int) -> None:
        if wait < 2 * 60:
            super().__init__(msg("too-many-sign-ins-lately", seconds=wait))
        else:
            super().__init__(msg("too-many-sign-ins", minutes=-(-wait // 60)))
        self.wait = wait


class NotAllowed(BiradsError):
    """The account's role does not permit this."""


class InvalidAssessment(BiradsError):
    """The assessment contains unknown terms or does not match the exam."""


class SignatureFinal(BiradsError):
    """A signature is another reader's, replaced, or too old to be withdrawn."""


class AiResultHidden(BiradsError):
    """The AI result is hidden from the reader, who has neither asked for it nor signed."""


class InvalidView(BiradsError):
    """A side or view that does not exist was to be set."""


class NoStudy(BiradsError):
    """The exam has no DICOM study for its results."""


class PatientNotCertain(BiradsError):
    """The files of the exam name different patients."""


class TrainingRefused(BiradsError):
    """A training cannot be started, stopped or resumed."""


class DatasetRefused(BiradsError):
    """A data set cannot be added, read or checked."""


class ReasonMissing(BiradsError):
    """An exam was to be deleted without a reason."""


class KeptInBin(BiradsError):
    """An exam of the bin was to be erased before its time is over."""


class AuditLogBroken(BiradsError):
    """An entry of the audit log was changed, removed, inserted or moved."""


class InvalidHead(BiradsError):
    """A text is not a head of the audit log."""


class SignOnRefused(BiradsError):
    """The person has no role or account here, or the request was not begun in this browser."""


class ProviderFailed(BiradsError):
    """The identity provider does not answer, or its answer is not valid."""


class SiteKeyDiffers(BiradsError):
    """Data was encrypted with another site key than the server's."""


class AttemptOvertaken(BiradsError):
    """Another process has begun with the job, because this one seemed to have ended."""


class SharedStateUnavailable(BiradsError):
    """Redis does not answer; ``wait`` is the number of seconds after which a new attempt makes sense."""

    wait = 5


class FilesUnavailable(BiradsError):
    """The place of images, received objects and uploads cannot be reached, or takes nothing."""

    wait = 10  # seconds until the next attempt


class RestoreUnfinished(BiradsError):
    """A restore into the instance folder was interrupted."""
