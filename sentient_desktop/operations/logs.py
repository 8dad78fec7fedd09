"""Structured logs: one JSON object a line, in a rotated file, with nothing secret in it.

What clients send (commands, contents, variables, tokens, query strings) is never logged, and of an
exception only its kind and where it happened, because its text may quote what a client sent.
"""

import contextvars
import json
import logging
import logging.handlers
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOG_FILE = "server.jsonl"
LOG_BYTES = 10 << 20
LOG_FILES = 4
"""Rotated files kept besides the current one."""

STDERR_BYTES = 1 << 20
"""After this much, stderr (which nobody rotates) is left alone; the file goes on."""

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""The request being answered, for every line written meanwhile."""

_log = logging.getLogger(__name__)


def start_logging(data_dir: Path) -> None:
    """Send this process's logs to the folder's file, and warnings to stderr too."""
    file = logging.handlers.RotatingFileHandler(
        data_dir / LOG_FILE, maxBytes=LOG_BYTES, backupCount=LOG_FILES, delay=True
    )
    file.setFormatter(JsonLines())
    stderr = _BoundedStream(sys.stderr)
    stderr.setLevel(logging.WARNING)
    stderr.setFormatter(_Short("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [file, stderr]
    root.setLevel(logging.WARNING)
    logging.getLogger("sentient_desktop").setLevel(logging.INFO)


def log_event(logger: logging.Logger, event: str, **facts: Any) -> None:
    """Log something that happened with its facts: plain values, none a client's secret."""
    logger.info(event, extra={"facts": facts})


def _describe(error: BaseException) -> str:
    """Name an exception and the places it passed, without its text."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
    return f"{type(error).__name__} at {places}"


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; control characters come out escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if current := request_id.get():
            line["request"] = current
        line |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _describe(record.exc_info[1])
        return json.dumps(line, default=str)


class _Short(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        return _describe(ei[1])


class _BoundedStream(logging.StreamHandler[Any]):
    """A stream that takes so many bytes and no more."""

    _left = STDERR_BYTES

    def emit(self, record: logging.LogRecord) -> None:
        if self._left > 0:
            self._left -= len(self.format(record)) + 1
            super().emit(record)
