"""Port 49983 of one desktop: routes a request to health, files, or one of the two RPC services."""

import asyncio
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sentient_desktop.control.samples import measure
from sentient_desktop.desktop import Desktop
from sentient_desktop.envd.access import require_file_access, require_token, user_of
from sentient_desktop.envd.files import download
from sentient_desktop.envd.filesystem import filesystem_service
from sentient_desktop.envd.process import process_service
from sentient_desktop.envd.uploads import compose, upload
from sentient_desktop.errors import ApiError, RpcError
from sentient_desktop.rpc.codec import END_OF_STREAM, encode, envelope, error_body, status_of
from sentient_desktop.rpc.fields import parse_decimal
from sentient_desktop.rpc.service import Call, Service, serve
from sentient_desktop.store.trees import disk_usage

DEFAULT_KEEPALIVE_S = 90.0
UNREAD_LIMIT_BYTES = 16 << 20


async def serve_envd(desktop: Desktop, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one envd request of a running desktop.

    Raises:
        ApiError: 401, 404 and whatever the file API refuses.
    """
    path, headers = scope["path"], Headers(scope=scope)
    if path == "/health":
        await Response(status_code=204)(scope, receive, send)
    elif path == "/files":
        await (await serve_files(desktop, Request(scope, receive)))(scope, receive, send)
    elif service := _service(desktop, path):
        require_token(headers, desktop.record.token)
        try:
            call = read_call(headers)
        except RpcError as error:
            await _refuse_rpc(error, headers)(scope, receive, send)
            return
        await serve(service, path.rpartition("/")[2], call, scope, receive, send)
    else:
        require_token(headers, desktop.record.token)
        await (await _serve_facts(desktop, Request(scope, receive)))(scope, receive, send)


async def _serve_facts(desktop: Desktop, request: Request) -> Response:
    match (request.method, request.url.path):
        case ("GET", "/envs"):
            return JSONResponse(desktop.record.envs, headers={"cache-control": "no-store"})
        case ("GET", "/metrics"):
            await desktop.ensure_booted()
            sample = await asyncio.to_thread(
                lambda: measure(desktop, None, disk_usage(desktop.disk))
            )
            return JSONResponse(_metrics(sample.body(desktop.limits) if sample else {}))
        case ("POST", "/files/compose"):
            await _require_room(desktop, request)
            try:
                return await compose(desktop, request)
            except RpcError as error:
                raise ApiError(400, f"invalid request body: {error.message}") from error
        case (method, path):
            raise ApiError(404, f"envd has nothing at {method} {path}")


def _metrics(sample: dict[str, Any]) -> dict[str, Any]:
    """Return a sample under envd's own names."""
    return {
        "ts": int(time.time()),
        "cpu_count": sample.get("cpuCount", 0),
        "cpu_used_pct": sample.get("cpuUsedPct", 0),
        "mem_total": sample.get("memTotal", 0),
        "mem_used": sample.get("memUsed", 0),
        "mem_cache": sample.get("memCache", 0),
        "disk_used": sample.get("diskUsed", 0),
        "disk_total": sample.get("diskTotal", 0),
    }


def require_credentials(token: str, request: Request) -> None:
    """Demand what a request must show before a paused desktop is woken for it.

    Raises:
        ApiError: 401.
    """
    if request.url.path == "/files":
        require_file_access(request.method, request.headers, request.query_params, token)
    else:
        require_token(request.headers, token)


def _service(desktop: Desktop, path: str) -> Service | None:
    if path.startswith("/process.Process/"):
        return process_service(desktop)
    if path.startswith("/filesystem.Filesystem/"):
        return filesystem_service(desktop)
    return None


async def serve_files(desktop: Desktop, request: Request) -> Response:
    """Answer ``/files`` for a caller with the token or a signature.

    Raises:
        ApiError: the caller has neither, or the method is not GET or POST.
    """
    require_file_access(request.method, request.headers, request.query_params, desktop.record.token)
    if request.method == "GET":
        return await download(desktop, request)
    if request.method == "POST":
        await _require_room(desktop, request)
        return await upload(desktop, request)
    raise ApiError(405, f"{request.method} is not offered on /files")


async def _require_room(desktop: Desktop, request: Request) -> None:
    """Refuse an upload there is no room for; a small one is read first.

    A server that answers without reading closes the connection, and a client still busy sending
    may lose the answer.
    """
    try:
        desktop.require_room()
    except ApiError:
        unread = UNREAD_LIMIT_BYTES
        async for chunk in request.stream():
            if (unread := unread - len(chunk)) < 0:
                break
        raise


def read_call(headers: Headers) -> Call:
    """Read what a method may know about its request from the headers.

    Raises:
        RpcError: ``unauthenticated`` for an unknown user, ``invalid_argument`` for a header that
            should be a number and is not.
    """
    timeout_ms = _read_header(headers, "connect-timeout-ms")
    keepalive_s = _read_header(headers, "keepalive-ping-interval")
    return Call(
        user=user_of(headers),
        timeout_s=timeout_ms / 1000 if timeout_ms else None,
        keepalive_s=DEFAULT_KEEPALIVE_S if keepalive_s is None else max(1.0, keepalive_s),
    )


def _read_header(headers: Headers, name: str) -> int | None:
    text = headers.get(name)
    if not text:
        return None
    number = parse_decimal(text)
    if number is None:
        raise RpcError("invalid_argument", f"{name} must be a number of at most ten digits")
    return number


def _refuse_rpc(error: RpcError, headers: Headers) -> Response:
    """Refuse before the method runs, in the form the caller's codec expects."""
    if headers.get("content-type", "").startswith("application/connect"):
        payload = envelope(encode({"error": error_body(error)}), END_OF_STREAM)
        return Response(payload, media_type="application/connect+json")
    return JSONResponse(error_body(error), status_code=status_of(error.code))
