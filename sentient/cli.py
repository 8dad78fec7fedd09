"""The entry point of `sentient`: every expected failure is one line on stderr and an exit code."""

import sys
from typing import NoReturn

from pydantic import ValidationError

from checkpoints.lease import ThreadBusyError
from sentient.streams import (
    READER_GONE,
    Forgiving,
    ReaderGoneError,
    abandon,
    answerable_stdout,
    open_missing,
)
from sentient.text import printable
from tools.errors import ExitCode, SentientError

INTERRUPTED = 130
"""What shells say of a program that Ctrl-C ended."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    open_missing()
    with answerable_stdout():
        stdout = sys.stdout
        try:
            try:
                _run()
            finally:
                stdout.flush()  # here, where it can be answered for, not when the interpreter ends
        except ReaderGoneError:
            abandon(stdout)
            sys.exit(READER_GONE)
        except KeyboardInterrupt:  # while the output waited for its reader
            abandon(stdout)
            _fail("stopped by Ctrl-C", INTERRUPTED)
        except OSError as error:
            abandon(stdout)
            _fail(f"{type(error).__name__}: {error}", ExitCode.ENVIRONMENT)


def _run() -> None:
    try:
        from graphs.faults import storage_errors  # noqa: PLC0415
        from sentient.commands import app  # noqa: PLC0415
        from sentient.signals import StoppedError  # noqa: PLC0415
    except KeyboardInterrupt:
        _fail("stopped before anything was done", INTERRUPTED)
    try:
        with storage_errors():
            app()
    except SentientError as error:
        resume = f" (then: sentient resume {error.thread})" if error.thread else ""
        _fail(f"{error}{resume}", error.exit_code)
    except StoppedError as error:
        _fail(str(error), error.exit_code)
    except ThreadBusyError as error:
        _fail(str(error), ExitCode.ENVIRONMENT)
    except ValidationError as error:  # importing the graphs reads the configuration, too
        _refuse(error)


def _refuse(error: ValidationError) -> NoReturn:
    first = error.errors()[0]
    _fail(f"{_variable(first['loc'])}: {first['msg']}", ExitCode.USAGE)


def _variable(location: tuple[int | str, ...]) -> str:
    """The environment variable of a setting; some settings are known by their full name."""
    name = "_".join(map(str, location)).upper()
    return name if name.startswith(("OPENAI_", "E2B_", "LANGGRAPH_")) else f"SENTIENT_{name}"


def _fail(message: str, code: int) -> NoReturn:
    Forgiving(sys.stderr).write(f"sentient: {printable(' '.join(message.split()))}\n")
    sys.exit(code)
