"""Translates the SDK's exceptions into ours; the one place that knows both trees."""

import contextlib
from collections.abc import Iterator

import httpx
from connectrpc.errors import ConnectError
from e2b import (
    AuthenticationException,
    InvalidArgumentException,
    NotEnoughSpaceException,
    NotFoundException,
    RateLimitException,
    SandboxException,
)
from e2b.exceptions import (
    FileNotFoundException,
    SandboxNotFoundException,
    SandboxNotRunningException,
    SandboxUnreachableException,
    ServiceBusyException,
)

from tools.errors import (
    DesktopGoneError,
    DesktopUnreachableError,
    EnvironmentFaultError,
    QuotaError,
    ToolError,
)

LOST = (
    SandboxUnreachableException,
    ConnectionError,
    httpx.TransportError,
    ServiceBusyException,
    ConnectError,
)


@contextlib.contextmanager
def translated(action: str) -> Iterator[None]:
    """Raise the project's error for any failure of the SDK while doing `action`.

    Timeouts and non-zero exits of commands pass through: they are results of the caller's own.
    """
    try:
        yield
    except (SandboxNotFoundException, SandboxNotRunningException) as error:
        raise DesktopGoneError(f"cannot {action}: {error}") from error
    except LOST as error:
        raise DesktopUnreachableError(f"cannot {action}: {error}") from error
    except RateLimitException as error:
        raise QuotaError(f"cannot {action}: {error}") from error
    except AuthenticationException as error:
        raise EnvironmentFaultError(
            f"cannot {action}: {error}", hint="check E2B_API_KEY"
        ) from error
    except NotEnoughSpaceException as error:
        raise EnvironmentFaultError(f"cannot {action}: the desktop's disk is full") from error
    except (FileNotFoundException, InvalidArgumentException) as error:
        raise ToolError(f"cannot {action}: {error}") from error
    except NotFoundException as error:
        raise DesktopGoneError(f"cannot {action}: {error}") from error
    except SandboxException as error:
        if type(error) is SandboxException:
            raise _plain(action, error) from error
        raise


def _plain(action: str, error: SandboxException) -> Exception:
    """A bare SandboxException: no such snapshot, a lost connection, or the server's refusal."""
    text = str(error)
    if text.startswith("404:"):
        return DesktopGoneError(f"cannot {action}: {text}")
    if any(word in text.lower() for word in ("connect", "transport", "stream", "eof", "reset")):
        return DesktopUnreachableError(f"cannot {action}: {text}")
    return EnvironmentFaultError(f"cannot {action}: {text}")
