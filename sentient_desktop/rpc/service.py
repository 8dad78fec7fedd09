"""Serving RPC methods over ASGI: one function each for unary calls, server and client streams."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from sentient_desktop.errors import AgentError, ApiError, DesktopError, RpcError
from sentient_desktop.rpc.codec import (
    END_OF_STREAM,
    Message,
    decode,
    encode,
    envelope,
    error_body,
    read_envelopes,
    status_of,
)
from sentient_desktop.settings import FRAME_LIMIT_BYTES

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """What a method may know about the request besides its message."""

    user: str
    timeout_s: float | None
    """From Connect-Timeout-Ms; None when the client sets no deadline."""
    keepalive_s: float


Unary = Callable[[Call, Message], Awaitable[Message]]
ServerStream = Callable[[Call, Message], AsyncGenerator[Message | bytes]]
ClientStream = Callable[[Call, AsyncIterator[Message]], Awaitable[Message]]


@dataclass(frozen=True)
class Service:
    """The methods of a service by name, in the three shapes Connect knows."""

    unary: dict[str, Unary]
    server_streams: dict[str, ServerStream]
    client_streams: dict[str, ClientStream]


_AGENT_CODES = {
    "ENOENT": "not_found",
    "EEXIST": "already_exists",
    "ENOTDIR": "invalid_argument",
    "EISDIR": "invalid_argument",
    "EINVAL": "invalid_argument",
    "ENAMETOOLONG": "invalid_argument",
    "ELOOP": "invalid_argument",
    "EXDEV": "invalid_argument",
    "ENXIO": "invalid_argument",
    "ENODEV": "invalid_argument",
    "ETXTBSY": "failed_precondition",
    "ENOTEMPTY": "failed_precondition",
    "ESRCH": "not_found",
    "EACCES": "permission_denied",
    "EPERM": "permission_denied",
    "EROFS": "permission_denied",
    "EBUSY": "failed_precondition",
    "ENOSPC": "resource_exhausted",
    "EDQUOT": "resource_exhausted",
    "EMSGSIZE": "resource_exhausted",
    "EAGAIN": "resource_exhausted",
    "EOVERFLOW": "internal",
    "ETIMEDOUT": "deadline_exceeded",
}


def as_rpc_error(error: Exception) -> RpcError:
    """Translate what a method may raise into a Connect error."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, AgentError):
        return RpcError(_AGENT_CODES.get(error.errno_name, "internal"), error.message)
    if isinstance(error, ApiError) and error.status == 404:
        return RpcError("not_found", error.message)
    if isinstance(error, DesktopError):
        return RpcError("unavailable", str(error))
    _log.error("a method failed", exc_info=error)
    return RpcError("internal", f"internal error: {type(error).__name__}")


async def serve(service: Service, method: str, call: Call, scope: Scope, *asgi: Any) -> None:
    """Answer one RPC. Unknown methods get ``unimplemented`` naming them."""
    receive, send = asgi
    request = Request(scope, receive)
    if method in service.server_streams:
        await _serve_server_stream(service.server_streams[method], call, request, send)
    elif method in service.client_streams:
        await _serve_client_stream(service.client_streams[method], call, request, send)
    else:
        handler = service.unary.get(method, _unimplemented(method))
        await _serve_unary(handler, call, request, send)


def _unimplemented(method: str) -> Unary:
    async def refuse(_call: Call, _message: Message) -> Message:
        raise RpcError("unimplemented", f"{method} is not offered by this server")

    return refuse


async def read_body(request: Request) -> bytes:
    """Gather a request's body.

    Raises:
        RpcError: ``resource_exhausted`` beyond the frame limit.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FRAME_LIMIT_BYTES:
            raise RpcError("resource_exhausted", f"the message exceeds {FRAME_LIMIT_BYTES} bytes")
    return bytes(body)


async def _respond(send: Send, status: int, content_type: bytes, body: bytes) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _serve_unary(handler: Unary, call: Call, request: Request, send: Send) -> None:
    status = 200
    try:
        async with asyncio.timeout(call.timeout_s):
            reply = await handler(call, decode(await read_body(request)))
    except TimeoutError:
        status, reply = 504, error_body(RpcError("deadline_exceeded", "the call took too long"))
    except ClientDisconnect:
        return
    except Exception as error:  # noqa: BLE001 - whatever it is, the client gets it in its own form
        translated = as_rpc_error(error)
        status, reply = status_of(translated.code), error_body(translated)
    await _respond(send, status, b"application/json", encode(reply))


async def _start_stream(send: Send) -> None:
    headers = [(b"content-type", b"application/connect+json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _end_stream(send: Send, error: RpcError | None) -> None:
    outcome = {"error": error_body(error)} if error else {}
    payload = envelope(encode(outcome), END_OF_STREAM)
    await send({"type": "http.response.body", "body": payload})


async def _serve_server_stream(
    handler: ServerStream, call: Call, request: Request, send: Send
) -> None:
    """Stream replies until the method or the client ends it; a vanished client cancels it."""
    try:
        # The whole request first: HTTP/1.1 clients give up a body they are still sending when
        # the response begins, and the message would arrive empty.
        replies = handler(call, await _read_only(request))
    except ClientDisconnect:
        return
    except RpcError as refusal:
        await _start_stream(send)
        await _end_stream(send, refusal)
        return
    await _start_stream(send)
    streaming = asyncio.create_task(_pump(replies, send))
    watching = asyncio.create_task(_until_disconnect(request.receive))
    await asyncio.wait({streaming, watching}, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    if not streaming.done():
        streaming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await streaming
        return
    await _end_stream(send, streaming.result())


async def _read_only(request: Request) -> Message:
    """Read the one message of a call; a second one is refused without reading on."""
    only: Message | None = None
    async for message in read_envelopes(request.stream()):
        if only is not None:
            raise RpcError("invalid_argument", "expected one message, got more")
        only = message
    if only is None:
        raise RpcError("invalid_argument", "expected one message, got none")
    return only


async def _pump(replies: AsyncGenerator[Message | bytes], send: Send) -> RpcError | None:
    """Send replies; return the error that ended them, if one did."""
    try:
        async with contextlib.aclosing(replies):
            async for reply in replies:
                body = envelope(encode(reply))
                await send({"type": "http.response.body", "body": body, "more_body": True})
    except Exception as error:  # noqa: BLE001 - as above
        return as_rpc_error(error)
    return None


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _serve_client_stream(
    handler: ClientStream, call: Call, request: Request, send: Send
) -> None:
    error = None
    reply: Message = {}
    try:
        async with asyncio.timeout(call.timeout_s):
            reply = await handler(call, read_envelopes(request.stream()))
    except TimeoutError:
        error = RpcError("deadline_exceeded", "the stream took too long")
    except ClientDisconnect:
        return
    except Exception as caught:  # noqa: BLE001 - as above
        error = as_rpc_error(caught)
    await _start_stream(send)
    if error is None:
        body = envelope(encode(reply))
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await _end_stream(send, error)
