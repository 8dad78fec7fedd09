"""The REST call that forks a desktop: new ones that start from its disk as it is at this moment.

Source: E2B's control plane. There a fork takes memory along and its SDK calls offer no other mode;
here processes are not copied, as docs/e2b-compatibility.md says: each fork boots on the disk.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sentient_desktop.control.body import read_body, read_timeout
from sentient_desktop.control.sandboxes import connection_body
from sentient_desktop.desktop import Desktop
from sentient_desktop.errors import ApiError, FreezeError
from sentient_desktop.fleet import Fleet

COUNT_LIMIT = 20
DEFAULT_FORK_TIMEOUT_S = 15
"""Both as in E2B; the SDKs pass the caller's timeout only when there is one."""


async def fork(request: Request) -> Response:
    """Fork a desktop ``count`` times; each entry of the answer is a sandbox or an error."""
    body = await read_body(request)
    timeout_s = read_timeout(body, DEFAULT_FORK_TIMEOUT_S)
    fleet: Fleet = request.app.state.fleet
    try:
        made = await fleet.fork(request.path_params["id"], _read_count(body), timeout_s)
    except FreezeError as error:
        code = "sandbox_snapshot_guest_agent_unresponsive"
        raise ApiError(409, str(error), error_code=code) from error
    return JSONResponse([_entry(one, request) for one in made], status_code=201)


def _read_count(body: dict[str, Any]) -> int:
    count = body.get("count", 1)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= COUNT_LIMIT:
        raise ApiError(400, f"count must be 1 to {COUNT_LIMIT}, got {count!r}")
    return count


def _entry(made: Desktop | Exception, request: Request) -> dict[str, Any]:
    if isinstance(made, Desktop):
        return {"sandbox": connection_body(made.record, request)}
    status = made.status if isinstance(made, ApiError) else 500
    return {"error": {"code": status, "message": str(made)}}
