"""envd's ``POST /files`` and ``/files/compose``: files into a desktop, streamed, many at once.

All files of a request travel through one pipe to one call of the agent: for each its path, its
content in pieces and an empty piece, every piece preceded by its length. Source: E2B envd
``internal/api/upload.go`` and ``compose.go``.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sentient_desktop.desktop import Desktop
from sentient_desktop.envd.access import USERS, refusal
from sentient_desktop.envd.encoding import decoded
from sentient_desktop.envd.multipart import Part, read_parts
from sentient_desktop.errors import AgentError, ApiError
from sentient_desktop.rpc.codec import decode
from sentient_desktop.rpc.fields import read_text, read_texts
from sentient_desktop.rpc.service import read_body
from sentient_desktop.sandbox.pipes import write_all

TRANSFER_TIMEOUT_S = 3600.0
METADATA_HEADER = "x-metadata-"
METADATA_LIMIT_BYTES = 4096
METADATA_KEY_LIMIT_BYTES = 246
METADATA_PREFIX_BYTES = len("user.e2b.")
BATCH_BYTES = 1 << 16
"""Pieces are gathered up to this size, what a pipe holds, before they are written to it."""

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


async def upload(desktop: Desktop, request: Request) -> Response:
    """Answer POST: one file as the body, or many as multipart parts named by their paths."""
    metadata = _metadata(request)
    kind = request.headers.get("content-type", "")
    media = kind.partition(";")[0].strip().lower()
    body = decoded(request.headers, request.stream())
    if media == "application/octet-stream":
        if "path" not in request.query_params:
            raise ApiError(400, "path query parameter is required for raw body upload")
        path = checked_path(request.query_params["path"], request)
        pieces = _framed(path, body)
    elif media.startswith("multipart/"):
        pieces = _framed_parts(request, read_parts(kind, body))
    else:
        wanted = "expected multipart/form-data or application/octet-stream"
        raise ApiError(400, f"unsupported content type: {kind}, {wanted}")
    return JSONResponse(await write_files(desktop, pieces, metadata))


def _piece(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


async def _framed(path: str, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield _piece(os.fsencode(path))
    async for chunk in body:
        if chunk:
            yield _piece(chunk)
    yield _piece(b"")


async def _framed_parts(request: Request, parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    single, empty = request.query_params.get("path"), True
    async for part in parts:
        if part.name == "file":
            empty = False
            path = checked_path(single or _part_path(part), request)
            async for piece in _framed(path, part.chunks()):
                yield piece
    if empty:
        raise ApiError(400, "the form has no parts named 'file'")


def _part_path(part: Part) -> str:
    if not part.filename:
        raise ApiError(400, "a form part has no filename to use as its path")
    return part.filename


async def write_files(
    desktop: Desktop, pieces: AsyncIterator[bytes], metadata: dict[str, str]
) -> list[dict[str, Any]]:
    """Write the files of a framed stream and return their descriptions on the wire.

    Raises:
        ApiError: with the status the SDKs map: 400, 403, 404, 507.
    """
    jail = await desktop.ensure_booted()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writer, False)
    feeding = asyncio.create_task(_feed(writer, pieces))
    feeding.add_done_callback(lambda _: os.close(writer))
    try:
        try:
            reply = await jail.channel.call(
                "write", fds=[reader], metadata=metadata, timeout_s=TRANSFER_TIMEOUT_S
            )
        finally:
            os.close(reader)  # from here on only the agent reads: when it does not, feeding ends
        await feeding
    except AgentError as error:
        if feeding.done():
            feeding.result()  # when the body broke off, that is the cause
        raise file_error(error) from error
    finally:
        feeding.cancel()
    written = reply.get("written")
    if not isinstance(written, dict):
        raise AgentError("EPROTO", "the agent's report of an upload is malformed")
    return [_write_info(path, kept) for path, kept in written.items()]


def _write_info(path: str, metadata: Any) -> dict[str, Any]:
    info: dict[str, Any] = {"path": path, "name": path.rpartition("/")[2], "type": "file"}
    if isinstance(metadata, dict) and metadata:
        info["metadata"] = {key: str(value) for key, value in metadata.items()}
    return info


async def _feed(writer: int, pieces: AsyncIterator[bytes]) -> None:
    """Copy pieces into the pipe; an agent that stopped reading says why itself."""
    batch = bytearray()
    with contextlib.suppress(BrokenPipeError):
        async for piece in pieces:
            batch += piece
            if len(batch) >= BATCH_BYTES:
                await write_all(writer, batch)
                batch = bytearray()
        await write_all(writer, batch)


async def compose(desktop: Desktop, request: Request) -> Response:
    """Answer POST /files/compose: join files into one and delete the parts."""
    message = decode(await read_body(request))
    sources = read_texts(message, "source_paths")
    target = read_text(message, "destination") or ""
    user = read_text(message, "username") or ""
    if not sources:
        raise ApiError(400, "source_paths must not be empty")
    if not target:
        raise ApiError(400, "destination is required")
    if user not in USERS:
        raise ApiError(401, refusal(user))
    jail = await desktop.ensure_booted()
    try:
        reply = await jail.channel.call(
            "compose", sources=sources, target=target, timeout_s=TRANSFER_TIMEOUT_S
        )
    except AgentError as error:
        raise file_error(error) from error
    entry = reply.get("entry")
    path = entry.get("path") if isinstance(entry, dict) else None
    return JSONResponse(_write_info(str(path), None))


def checked_path(path: str, request: Request) -> str:
    """Return a path of the client's for the user it names.

    Raises:
        ApiError: 401 for another user than the desktop's, 400 for a path that cannot be one.
    """
    user = request.query_params.get("username", "")
    if user not in USERS:
        raise ApiError(401, refusal(user))
    if not path:
        raise ApiError(400, "path is required")
    if "\0" in path:
        raise ApiError(400, "path contains a null byte")
    return path


def _metadata(request: Request) -> dict[str, str]:
    """Read the X-Metadata-* headers, the first of each name, within E2B's bounds."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        if name.startswith(METADATA_HEADER) and name != METADATA_HEADER:
            found.setdefault(name[len(METADATA_HEADER) :], value)
    for key, value in found.items():
        if len(key) > METADATA_KEY_LIMIT_BYTES:
            text = f'metadata key "{key}" exceeds {METADATA_KEY_LIMIT_BYTES} bytes'
            raise ApiError(400, f"invalid metadata: {text}")
        for what, given in (("key", key), (f'value for key "{key}"', value)):
            if not (given.isascii() and given.isprintable()):
                text = f"metadata {what} contains a byte that is not printable ASCII"
                raise ApiError(400, f"invalid metadata: {text}")
    total = sum(METADATA_PREFIX_BYTES + len(key) + len(value) for key, value in found.items())
    if total > METADATA_LIMIT_BYTES:
        text = f"total metadata size {total} exceeds {METADATA_LIMIT_BYTES} bytes"
        raise ApiError(400, f"invalid metadata: {text}")
    return found


def file_error(error: AgentError) -> ApiError:
    """Translate an agent's refusal to the HTTP status the SDKs expect."""
    return ApiError(_STATUS.get(error.errno_name, 400), error.message)
