"""envd's ``/files``: whole files in and out of a desktop, streamed through a pipe to the agent.

Bytes are never gathered here: a download reads from the pipe as fast as the client does, an upload
writes to it as fast as the agent does. Source: E2B envd ``GET/POST /files``.
"""

import asyncio
import contextlib
import os
import zlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from sentient_desktop.desktop import Desktop
from sentient_desktop.envd.access import USERS, refusal
from sentient_desktop.envd.multipart import Part, read_parts
from sentient_desktop.errors import AgentError, ApiError
from sentient_desktop.sandbox.pipes import read_chunks, write_all

TRANSFER_TIMEOUT_S = 3600.0
OPEN_TIMEOUT_S = 30.0
METADATA_HEADER = "x-metadata-"
METADATA_LIMIT_BYTES = 4096

_STATUS = {
    "ENOENT": 404,
    "ENOSPC": 507,
    "EDQUOT": 507,
    "EFBIG": 507,
    "EACCES": 403,
    "EPERM": 403,
    "EROFS": 403,
    "ETIMEDOUT": 504,
    "EPROTO": 500,
}


async def download(desktop: Desktop, request: Request) -> Response:
    """Answer GET: the content of one regular file."""
    path = _checked_path(request.query_params.get("path", ""), request)
    jail = await desktop.ensure_booted()
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.set_blocking(writer, True)  # the agent's end; the flag belongs to the open pipe end
        reply = await jail.channel.call("read", fds=[writer], path=path, timeout_s=OPEN_TIMEOUT_S)
        size = _size_of(reply)
    except AgentError as error:
        os.close(reader)
        raise file_error(error) from error
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return StreamingResponse(
        _drain(reader, size),
        media_type="application/octet-stream",
        headers={"content-length": str(size)},
    )


def _size_of(reply: dict[str, Any]) -> int:
    size = reply.get("size")
    if not isinstance(size, int) or size < 0:
        raise AgentError("EPROTO", "the agent's answer has no size")
    return size


async def _drain(reader: int, size: int) -> AsyncIterator[bytes]:
    """Yield exactly what was announced; a file that shrank ends the response early instead."""
    left = size
    try:
        async for chunk in read_chunks(reader):
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return
    finally:
        os.close(reader)


async def upload(desktop: Desktop, request: Request) -> Response:
    """Answer POST: one file as the body, or many as multipart parts named by their paths."""
    metadata = _metadata(request)
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        written = await _upload_parts(desktop, request, metadata)
    else:
        path = _checked_path(request.query_params.get("path", ""), request)
        body = _decoded(request)
        written = [await write_file(desktop, path, body, metadata)]
    return JSONResponse(written)


async def _upload_parts(
    desktop: Desktop, request: Request, metadata: dict[str, str]
) -> list[dict[str, Any]]:
    written = []
    single = request.query_params.get("path")
    async for part in read_parts(request):
        path = _checked_path(single or _part_path(part), request)
        written.append(await write_file(desktop, path, part.chunks(), metadata))
    if not written:
        raise ApiError(400, "the form has no file parts")
    return written


def _part_path(part: Part) -> str:
    if not part.filename:
        raise ApiError(400, f"form part '{part.name}' has no filename to use as its path")
    return part.filename


async def write_file(
    desktop: Desktop, path: str, body: AsyncIterator[bytes], metadata: dict[str, str]
) -> dict[str, Any]:
    """Write one file from a stream and return its description on the wire.

    Raises:
        ApiError: with the status the SDKs map: 400, 403, 404, 507.
    """
    jail = await desktop.ensure_booted()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writer, False)
    feeding = asyncio.create_task(_feed(writer, body))
    feeding.add_done_callback(lambda _: os.close(writer))
    try:
        reply = await jail.channel.call(
            "write", fds=[reader], path=path, metadata=metadata, timeout_s=TRANSFER_TIMEOUT_S
        )
        await feeding
    except AgentError as error:
        raise file_error(error) from error
    finally:
        os.close(reader)
        feeding.cancel()
    entry = reply.get("entry") or {}
    answer = {"path": str(entry.get("path", path)), "name": str(entry.get("name", ""))}
    return answer | {"type": "file"} | ({"metadata": metadata} if metadata else {})


async def _feed(writer: int, body: AsyncIterator[bytes]) -> None:
    """Copy the body into the pipe; an agent that stopped reading says why in its reply."""
    with contextlib.suppress(BrokenPipeError):
        async for chunk in body:
            await write_all(writer, chunk)


async def _decoded(request: Request) -> AsyncIterator[bytes]:
    if request.headers.get("content-encoding") != "gzip":
        async for chunk in request.stream():
            yield chunk
        return
    inflate = zlib.decompressobj(wbits=31)
    try:
        async for chunk in request.stream():
            data = inflate.decompress(chunk, 1 << 20)
            while data:
                yield data
                data = inflate.decompress(inflate.unconsumed_tail, 1 << 20)
    except zlib.error as error:
        raise ApiError(400, f"the body is not gzip: {error}") from error
    if not inflate.eof:
        raise ApiError(400, "the gzip body ends too early")


def _checked_path(path: str, request: Request) -> str:
    user = request.query_params.get("username", "")
    if user not in USERS:
        raise ApiError(401, refusal(user))
    if not path:
        raise ApiError(400, "path is required")
    if "\0" in path:
        raise ApiError(400, "path contains a null byte")
    return path


def _metadata(request: Request) -> dict[str, str]:
    found = {
        name[len(METADATA_HEADER) :]: value
        for name, value in request.headers.items()
        if name.startswith(METADATA_HEADER)
    }
    if sum(len(name) + len(value) for name, value in found.items()) > METADATA_LIMIT_BYTES:
        raise ApiError(400, f"metadata exceeds {METADATA_LIMIT_BYTES} bytes")
    return found


def file_error(error: AgentError) -> ApiError:
    """Translate an agent's refusal to the HTTP status the SDKs expect."""
    return ApiError(_STATUS.get(error.errno_name, 400), error.message)
