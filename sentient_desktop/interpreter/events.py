"""What a kernel says, checked field by field and rebuilt in E2B's words.

The kernel is hostile: a line of its own is JSON at best. Nothing of it reaches a client but texts
and plain JSON under names chosen here.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Wire = dict[str, Any]
"""One line of the answer, as the SDKs read it."""

LINE_LIMIT_BYTES = (16 << 20) + 1
MIME_LIMIT = 32
"""Most forms one result may have."""

NESTING_LIMIT = 100
"""Most levels of lists and maps in a form; parsers, the clients' too, recurse and give up."""

_NAMES = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "application/json": "json",
    "application/javascript": "javascript",
    "e2b/data": "data",
    "e2b/chart": "chart",
}
_STRUCTURED = frozenset({"json", "data", "chart"})


class ProtocolError(Exception):
    """A kernel's line makes no sense; the kernel cannot be trusted to go on."""


@dataclass(frozen=True)
class Ready:
    """The kernel can take requests."""


@dataclass(frozen=True)
class Finished:
    """One execution is over; ``status`` is the exit status of shells."""

    status: int


def output(stream: str, text: str) -> Wire:
    """Return a piece of what was printed; the time is E2B's form of it."""
    return {"type": stream, "text": text, "timestamp": datetime.now(UTC).isoformat()}


def failure(name: str, value: str, traceback: str = "") -> Wire:
    """Return an error of the code, or of its context."""
    return {"type": "error", "name": name, "value": value, "traceback": traceback}


def parse_line(line: bytes) -> Wire | Ready | Finished:
    """Read one line of a kernel's.

    Raises:
        ProtocolError: it is not one of the events a kernel has.
    """
    try:
        event = json.loads(line, parse_constant=lambda _: None)  # NaN is no JSON for clients
    except (ValueError, RecursionError):
        raise ProtocolError("a line that is not JSON") from None
    kind = event.get("event") if isinstance(event, dict) else None
    if kind == "ready":
        return Ready()
    if kind == "end":
        status = event.get("status")
        return Finished(status if isinstance(status, int) else 0)
    if kind == "error":
        return failure(*(_text(event.get(field)) for field in ("name", "value", "traceback")))
    if kind == "result":
        return _result(event.get("data"), is_main=event.get("main") is True)
    raise ProtocolError("an event of an unknown kind")


def is_deep(value: Any) -> bool:
    """Whether a value has more than NESTING_LIMIT levels; looks at it level by level."""
    level = [value]
    for _ in range(NESTING_LIMIT):
        inner = [item for item in level if isinstance(item, dict | list) and item]
        if not inner:
            return False
        level = [part for item in inner for part in _parts(item)]
    return True


def _parts(item: Any) -> Any:
    return item.values() if isinstance(item, dict) else item


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _result(data: Any, *, is_main: bool) -> Wire:
    if not isinstance(data, dict) or len(data) > MIME_LIMIT:
        raise ProtocolError("a result without a map of its forms")
    if is_deep(data):
        raise ProtocolError(f"a result nested more than {NESTING_LIMIT} levels deep")
    wire: Wire = {"type": "result", "is_main_result": is_main, "extra": {}}
    for mime, value in data.items():
        name = _NAMES.get(mime)
        if name is None:
            wire["extra"][mime] = value
        elif name in _STRUCTURED:
            if isinstance(value, dict | list):
                wire[name] = value
        elif isinstance(value, str):
            wire[name] = _unquote(value) if name == "text" else value
    return wire


def _unquote(text: str) -> str:
    """Take the quotes off the representation of a text, as E2B does."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text
