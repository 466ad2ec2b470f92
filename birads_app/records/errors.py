"""What can go wrong with records.

BiradsError
├── NotFound
├── AccountNameTaken
├── InvalidAccount      a name, role or password that no account may have
├── LastAdministrator   nobody would be left who may change anything
├── TooManyAttempts     to sign in
├── NotAllowed          for an account in this role
├── InvalidAssessment   with terms that there are not, or of what the exam does not show
├── NoStudy             that an exam's results could join
├── TrainingRefused     a training cannot be started, stopped or gone on with as asked
└── SiteKeyDiffers      from the one under which something was sealed
"""

from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg


class NotFound(BiradsError):
    """There is no such record."""


class AccountNameTaken(BiradsError):
    """There is already an account with this name."""


class InvalidAccount(BiradsError):
    """No account may have this name, role or password."""


class LastAdministrator(BiradsError):
    """Nobody would be left who may change anything."""


class TooManyAttempts(BiradsError):
    """Signing in failed too often; ``wait`` tells for how many seconds to wait."""

    def __init__(self, wait: int) -> None:
        minutes = -(-wait // 60)
        super().__init__(msg("too-many-sign-ins", minutes=minutes))
        self.wait = wait


class NotAllowed(BiradsError):
    """The account's role does not include this."""


class InvalidAssessment(BiradsError):
    """The exam cannot be assessed so."""


class NoStudy(BiradsError):
    """There is no study that an exam's results could join."""


class TrainingRefused(BiradsError):
    """A training cannot be started, stopped or gone on with as asked."""


class SiteKeyDiffers(BiradsError):
    """Something was sealed under another site key than the server's."""
