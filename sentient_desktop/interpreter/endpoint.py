"""Port 49999: E2B's code interpreter protocol, one JSON object a line.

Source: E2B's code interpreter as its official SDKs call it. Errors are plain text, which is what
those SDKs show. A client that goes away interrupts its code: closing the connection is how they
cancel and how they time out.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from sentient_desktop.control.body import read_body, read_environment
from sentient_desktop.desktop import Desktop
from sentient_desktop.envd.access import require_token
from sentient_desktop.errors import ApiError, RpcError
from sentient_desktop.interpreter.contexts import Interpreter
from sentient_desktop.interpreter.events import Wire

KEEPALIVE_S = 5.0

_interpreters: WeakKeyDictionary[Desktop, Interpreter] = WeakKeyDictionary()


def interpreter_of(desktop: Desktop) -> Interpreter:
    """Return the contexts of a desktop, which live as long as this server knows it."""
    return _interpreters.setdefault(desktop, Interpreter(desktop))


async def serve_interpreter(desktop: Desktop, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request to port 49999."""
    request = Request(scope, receive)
    try:
        if (request.method, scope["path"]) == ("POST", "/execute"):
            require_token(request.headers, desktop.record.token)
            events = await _execute(interpreter_of(desktop), request)
            await _stream(events, receive, send)
            return
        response = await _answer(interpreter_of(desktop), request)
    except RpcError as error:
        response = PlainTextResponse(error.message, 429)
    except ApiError as error:
        if error.status == 502:
            raise  # the desktop's own state, in the words the SDKs look for
        headers = {} if error.retryable else {"should-retry": "false"}
        response = PlainTextResponse(error.message, error.status, headers)
    await response(scope, receive, send)


async def _answer(interpreter: Interpreter, request: Request) -> Response:
    method, parts = request.method, request.url.path.strip("/").split("/")
    match method, parts:
        case "GET", ["health"]:
            return JSONResponse("OK")
        case "GET", ["contexts"]:
            return JSONResponse(interpreter.list())
        case "POST", ["contexts"]:
            body = await read_body(request)
            language, cwd = _optional(body, "language"), _optional(body, "cwd")
            return JSONResponse((await interpreter.create(language, cwd)).describe())
        case "DELETE", ["contexts", context_id]:
            await interpreter.remove(context_id)
            return JSONResponse(None)
        case "POST", ["contexts", context_id, "restart"]:
            context = interpreter.find(context_id)
            await context.stop("the context was restarted")
            await context.start()
            return JSONResponse(None)
    raise ApiError(404, f"{method} {request.url.path} is not a call of the code interpreter")


def _optional(body: dict[str, Any], field: str) -> str | None:
    value = body.get(field)
    if value is not None and (not isinstance(value, str) or "\0" in value):
        raise ApiError(400, f"{field} must be a text")
    return value


async def _execute(interpreter: Interpreter, request: Request) -> AsyncIterator[Wire]:
    body = await read_body(request)
    code, context_id = body.get("code"), _optional(body, "context_id")
    language, variables = _optional(body, "language"), read_environment(body, "env_vars")
    if not isinstance(code, str):
        raise ApiError(400, "code must be a text")
    if any(not name.isidentifier() or not name.isascii() for name in variables):
        raise ApiError(400, "env_vars: every name must be letters, digits and underscores")
    if context_id and language:
        raise ApiError(400, "Only one of context_id or language can be provided")
    context = interpreter.find(context_id) if context_id else interpreter.default(language)
    events = context.execute(code, variables)
    first = await anext(events)  # what cannot be started is refused before anything is sent

    async def all_events() -> AsyncIterator[Wire]:
        try:
            yield first
            async for event in events:
                yield event
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    return all_events()


async def _stream(events: AsyncIterator[Wire], receive: Receive, send: Send) -> None:
    """Send events until their end or the client's, with a sign of life in every pause."""
    headers = [(b"content-type", b"application/x-ndjson")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    leaving = asyncio.create_task(_until_disconnect(receive))
    coming: asyncio.Task[Wire | None] | None = None
    try:
        while True:
            coming = coming or asyncio.create_task(_next(events))
            done, _ = await asyncio.wait(
                {coming, leaving}, timeout=KEEPALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if leaving in done:
                return
            event: Wire | None = {"type": "keepalive"}
            if done:
                ended, coming = coming, None
                if isinstance(ended.exception(), ApiError):
                    return  # the desktop is gone: SDKs tell so by an answer that breaks off
                event = ended.result()
            if event is None:
                break
            await send(_chunk(event, more=True))
        await send(_chunk({"type": "end_of_execution"}, more=False))
    finally:
        leaving.cancel()
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})
        await events.aclose()  # type: ignore[attr-defined]


async def _next(events: AsyncIterator[Wire]) -> Wire | None:
    return await anext(events, None)


def _chunk(event: Wire, *, more: bool) -> dict[str, Any]:
    line = json.dumps(event).encode() + b"\n"
    return {"type": "http.response.body", "body": line, "more_body": more}


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
