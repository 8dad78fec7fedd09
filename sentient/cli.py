"""The entry point of `sentient`: every expected failure is one line on stderr and an exit code."""

import asyncio
import sqlite3
import sys

from pydantic import ValidationError

from checkpoints.lease import ThreadBusyError
from sentient.text import printable
from tools.errors import ExitCode, SentientError

INTERRUPTED = 130
"""What shells use for a program that was stopped by Ctrl-C."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        # Importing the graphs reads the configuration, and may find it wrong.
        from sentient.commands import app  # noqa: PLC0415

        app()
    except SentientError as error:
        resume = f" (then: sentient resume {error.thread})" if error.thread else ""
        _fail(f"{error}{resume}", error.exit_code)
    except ThreadBusyError as error:
        _fail(str(error), ExitCode.ENVIRONMENT)
    except ValidationError as error:
        first = error.errors()[0]
        _fail(f"{_variable(first['loc'])}: {first['msg']}", ExitCode.USAGE)
    except (KeyboardInterrupt, asyncio.CancelledError):
        _fail("stopped at once; threads that were running can be resumed", INTERRUPTED)
    except sqlite3.Error as error:
        _fail(f"the database in SENTIENT_HOME cannot be used: {error}", ExitCode.ENVIRONMENT)
    except OSError as error:
        _fail(f"{type(error).__name__}: {error}", ExitCode.ENVIRONMENT)


def _variable(location: tuple[int | str, ...]) -> str:
    """The environment variable of a setting; some settings are known by their full name."""
    name = "_".join(map(str, location)).upper()
    return name if name.startswith(("OPENAI_", "E2B_")) else f"SENTIENT_{name}"


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"sentient: {printable(' '.join(message.split()))}\n")
    sys.exit(code)
