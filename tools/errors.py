"""Every error a person or a model can meet, as one tree.

SentientError                  one clear line, a hint, an exit code
├── UsageError                 the request cannot be carried out as given            exit 2
├── EnvironmentFaultError      this machine, a server or a credential is at fault    exit 4
│   ├── DesktopUnreachableError    no answer; the desktop may hold work: never replaced
│   ├── ModelError                 the model endpoint refuses or fails
│   │   ├── ModelUnavailableError      now; asked again later it may answer
│   │   └── ModelRequestError          this request; one of another form it may take
│   └── StorageError               a database or the disk below it refuses or fails
├── DesktopGoneError           the server says that the desktop does not exist (any more)
├── QuotaError                 the server refuses one more desktop right now
└── ToolError                  a tool call that the model itself can put right
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the `sentient` command tells the shell."""

    VERIFIED = 0
    USAGE = 2
    NOT_SOLVED = 3
    ENVIRONMENT = 4
    WAITING = 5


class SentientError(Exception):
    """A failure in words for people: what failed, the value, the bound; `hint`: what to do."""

    exit_code = ExitCode.ENVIRONMENT

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.thread = ""
        """The thread that can be resumed, when work was kept."""

    def __str__(self) -> str:
        """The message and the hint on one line."""
        message = str(self.args[0])
        return f"{message} ({self.hint})" if self.hint else message


class UsageError(SentientError):
    """The request cannot be carried out as given: a path, an option, a repository."""

    exit_code = ExitCode.USAGE


class EnvironmentFaultError(SentientError):
    """The request is fine, the surroundings are not: server, kernel, network, credential."""


class DesktopUnreachableError(EnvironmentFaultError):
    """A desktop does not answer. It is never replaced: it may hold the only copy of work."""


class NoResultError(EnvironmentFaultError):
    """A test run left no result: it brought down everything that could report on it."""


class ModelError(EnvironmentFaultError):
    """The model endpoint refuses the request, does not know the model, or does not answer."""


class ModelUnavailableError(ModelError):
    """The model endpoint fails or is too busy; the same request may be answered later."""

    wait_s: float | None = None
    """Seconds that the endpoint itself asks to wait."""


class ModelRequestError(ModelError):
    """The model endpoint takes no request of this form or size; others it may take."""


class StorageError(EnvironmentFaultError):
    """The checkpoints or the ledger cannot be read or written; what was saved before is there."""


class DesktopGoneError(SentientError):
    """The server says that this desktop, or the snapshot to make it from, does not exist."""


class QuotaError(SentientError):
    """The server refuses one more desktop or request now; waiting may help."""


class ToolError(SentientError):
    """A tool call that failed for a reason its caller can put right; goes back as its answer."""
