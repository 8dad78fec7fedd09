"""Errors of the desktop server, drawn as one tree and translated once, at the wire."""

import errno
import os
import sqlite3


class DesktopError(Exception):
    """Root of every error this package raises on purpose."""


class ApiError(DesktopError):
    """A control-plane or file request that is answered with an HTTP error.

    The body on the wire is ``{"code", "message"}`` plus ``error_code`` when given, the shape the
    official SDKs map to their exceptions. ``retryable=False`` adds ``Should-Retry: false``, which
    stops the SDKs from repeating a request that cannot succeed.
    """

    def __init__(
        self, status: int, message: str, *, error_code: str = "", retryable: bool = True
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_code = error_code
        self.retryable = retryable


class RpcError(DesktopError):
    """A Connect RPC failure; ``code`` is a Connect code in snake case, e.g. ``not_found``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class AgentError(DesktopError):
    """The agent inside a desktop refused or failed an operation.

    ``errno_name`` is a POSIX error name (``ENOENT``) or ``EPROTO`` for a reply that makes no sense.
    The text comes from a hostile place: it is shown, never interpreted.
    """

    def __init__(self, errno_name: str, message: str) -> None:
        super().__init__(message)
        self.errno_name = errno_name
        self.message = message


class AgentGoneError(DesktopError):
    """The agent's channel closed: the desktop's processes are gone, its files are not."""


class BootError(DesktopError):
    """A desktop could not be started; the text carries the last line bubblewrap wrote."""


class FreezeError(DesktopError):
    """The processes of a desktop could not be brought to a standstill."""


class DiskError(DesktopError):
    """A desktop's files could not be copied or deleted; ``status`` is the HTTP answer to that."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class UidError(ApiError):
    """Every host uid of the range for desktops still has files here."""

    def __init__(self, count: int) -> None:
        text = f"all {count} host uids for desktops are taken: kill desktops or delete snapshots"
        super().__init__(503, text)


class LaunchError(DesktopError):
    """The server could not be started or reached."""


class ProbeError(DesktopError):
    """This machine refuses the isolation desktops need; the text names cause and remedy."""


_STORAGE_STATUS = {
    errno.ENOSPC: 507,
    errno.EDQUOT: 507,
    errno.EMFILE: 503,
    errno.ENFILE: 503,
    errno.ENOMEM: 503,
}


def storage_error(error: OSError | sqlite3.Error) -> ApiError:
    """Say that the server's own storage failed: 507 when it is full, 503 when trying again may do.

    The text names the cause, and no path of the host.
    """
    if isinstance(error, OSError):
        cause = os.strerror(error.errno) if error.errno else type(error).__name__
        status = _STORAGE_STATUS.get(error.errno or 0, 500)
    else:
        cause = str(error)
        status = 507 if "full" in cause else 503 if "locked" in cause else 500
    advice = "; free space on it: kill desktops or delete snapshots" if status == 507 else ""
    text = f"the server's storage failed: {cause}{advice}"
    return ApiError(status, text, retryable=status == 503)
