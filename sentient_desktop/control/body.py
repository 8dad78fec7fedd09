"""Reading requests of the control plane: JSON bodies, their common fields, and pages."""

import json
from typing import Any, TypeVar

from starlette.requests import Request

from sentient_desktop.errors import ApiError
from sentient_desktop.rpc.fields import parse_decimal
from sentient_desktop.settings import FRAME_LIMIT_BYTES, MAX_TIMEOUT_S

PAGE_LIMIT = 100

T = TypeVar("T")


async def read_body(request: Request) -> dict[str, Any]:
    """Read a JSON object; an empty body is an empty object.

    Raises:
        ApiError: 400, or 413 beyond the frame limit.
    """
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > FRAME_LIMIT_BYTES:
            raise ApiError(413, f"the body exceeds {FRAME_LIMIT_BYTES} bytes")
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ApiError(400, "the body is not a JSON object")
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        raise ApiError(400, "the body has text that is not Unicode") from None
    return body


def read_timeout(body: dict[str, Any], default_s: int) -> int:
    """Read ``timeout`` in seconds, 0 to 30 days.

    Raises:
        ApiError: 400.
    """
    value = body.get("timeout")
    if value is None:
        return default_s
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_TIMEOUT_S:
        raise ApiError(400, f"timeout must be 0 to {MAX_TIMEOUT_S} seconds, got {value!r}")
    return value


def read_text_map(body: dict[str, Any], field: str) -> dict[str, str]:
    """Read an object of texts; absent means empty.

    Raises:
        ApiError: 400.
    """
    value = body.get(field) or {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ApiError(400, f"{field} must be an object of texts")
    return dict(value)


def read_environment(body: dict[str, Any], field: str) -> dict[str, str]:
    """Read variables every command will start with; absent means none.

    Raises:
        ApiError: 400 for what no process could be started with.
    """
    found = read_text_map(body, field)
    for name, value in found.items():
        if not name or "=" in name or "\0" in name + value:
            raise ApiError(400, f"{field}: {name!r} cannot be an environment variable")
    return found


def paginate(
    items: list[T], limit: str | None, token: str | None
) -> tuple[list[T], dict[str, str]]:
    """Cut one page out of ``items``; the second part is the header naming the next page.

    Raises:
        ApiError: 400 for a limit or token that is not a number.
    """
    wished, start = parse_decimal(limit or str(PAGE_LIMIT)), parse_decimal(token or "0")
    if wished is None or start is None:
        raise ApiError(400, "limit and nextToken must be numbers of at most ten digits")
    size = min(max(1, wished), PAGE_LIMIT)
    end = start + size
    headers = {"x-next-token": str(end)} if end < len(items) else {}
    return items[start:end], headers
