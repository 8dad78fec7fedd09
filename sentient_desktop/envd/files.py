"""envd's ``GET /files``: whole files out of a desktop, streamed through a pipe from the agent.

Bytes are never gathered here: a download reads from the pipe as fast as the client does. Source:
E2B envd ``internal/api/download.go``; ranges and conditions are not honoured, as HTTP allows.
"""

import os
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sentient_desktop.desktop import Desktop
from sentient_desktop.envd.encoding import accepts_gzip, encoded
from sentient_desktop.envd.uploads import checked_path, file_error
from sentient_desktop.errors import AgentError
from sentient_desktop.sandbox.pipes import read_chunks

OPEN_TIMEOUT_S = 30.0
SMALL_BYTES = 1 << 16
"""A file no larger than a pipe arrives whole at once, and is answered in one piece."""


async def download(desktop: Desktop, request: Request) -> Response:
    """Answer GET: the content of one regular file."""
    path = checked_path(request.query_params.get("path", ""), request)
    packed = accepts_gzip(request.headers)
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
    headers = {"vary": "Accept-Encoding"}
    body = _drain(reader, size)
    if packed:
        headers["content-encoding"] = "gzip"
        body = encoded(body)
    elif size <= SMALL_BYTES:
        return Response(
            b"".join([chunk async for chunk in body]), 200, headers, "application/octet-stream"
        )
    else:
        headers["content-length"] = str(size)
    return StreamingResponse(body, 200, headers, "application/octet-stream")


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
