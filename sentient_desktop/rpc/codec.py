"""Connect's JSON messages and envelopes, and the HTTP status each error code travels under.

Source: the Connect protocol, "Unary" and "Streaming" sections. Streams are always answered with
status 200; their outcome is the last envelope.
"""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

from sentient_desktop.errors import RpcError
from sentient_desktop.settings import FRAME_LIMIT_BYTES

END_OF_STREAM = 2

Message = dict[str, Any]
"""A decoded JSON message; bytes fields are base64 text, 64-bit numbers are text."""

_STATUS = {
    "canceled": 499, "unknown": 500, "invalid_argument": 400, "deadline_exceeded": 504,
    "not_found": 404, "already_exists": 409, "permission_denied": 403, "resource_exhausted": 429,
    "failed_precondition": 400, "aborted": 409, "out_of_range": 400, "unimplemented": 501,
    "internal": 500, "unavailable": 503, "data_loss": 500, "unauthenticated": 401,
}  # fmt: skip


def status_of(code: str) -> int:
    """Return the HTTP status of a unary error."""
    return _STATUS.get(code, 500)


def encode(message: Message | bytes) -> bytes:
    """Encode a message compactly; a file name that is not UTF-8 gets question marks.

    Bytes are a message that its method encoded already.
    """
    if isinstance(message, bytes):
        return message
    text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def decode(data: bytes) -> Message:
    """Decode a message.

    Raises:
        RpcError: ``invalid_argument`` for anything that is not a JSON object.
    """
    try:
        message = json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:
        raise RpcError("invalid_argument", f"the message is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise RpcError("invalid_argument", "the message is not a JSON object")
    return message


def decode_bytes(text: Any) -> bytes:
    """Decode a bytes field.

    Raises:
        RpcError: ``invalid_argument``.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise RpcError("invalid_argument", f"a bytes field is not base64: {error}") from error


def error_body(error: RpcError) -> Message:
    """Return the JSON form of an error."""
    return {"code": error.code, "message": error.message}


def envelope(payload: bytes, flags: int = 0) -> bytes:
    """Wrap one message of a stream."""
    return bytes([flags]) + len(payload).to_bytes(4, "big") + payload


async def read_envelopes(body: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """Decode the messages of a client's stream as they arrive.

    Raises:
        RpcError: ``resource_exhausted`` for a message over the frame limit,
            ``invalid_argument`` for compression (never offered) or a body cut short.
    """
    pending = bytearray()
    async for chunk in body:
        pending += chunk
        while len(pending) >= 5:
            size = int.from_bytes(pending[1:5], "big")
            if size > FRAME_LIMIT_BYTES:
                text = f"a message of {size} bytes exceeds {FRAME_LIMIT_BYTES}"
                raise RpcError("resource_exhausted", text)
            if len(pending) < 5 + size:
                break
            flags, payload = pending[0], bytes(pending[5 : 5 + size])
            del pending[: 5 + size]
            if flags & 1:
                raise RpcError("invalid_argument", "compressed messages are not supported")
            if flags & END_OF_STREAM:
                return
            yield decode(payload)
    if pending:
        raise RpcError("invalid_argument", "the stream ended inside a message")
