"""REST calls on sandboxes, in both path generations the SDKs use.

Source: E2B's control plane as its official SDKs call it. Bodies are checked field by field; what
this server cannot do is refused by name instead of being ignored.
"""

import urllib.parse
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sentient_desktop.control.body import (
    paginate,
    read_body,
    read_environment,
    read_text_map,
    read_timeout,
)
from sentient_desktop.control.idempotency import HEADER, Replays
from sentient_desktop.control.ownership import desktops_of, owner_of
from sentient_desktop.desktop import Desktop
from sentient_desktop.errors import ApiError
from sentient_desktop.fleet import Fleet
from sentient_desktop.network.policy import make_traffic_token, read_internet, read_network
from sentient_desktop.settings import DEFAULT_TIMEOUT_S, ENVD_VERSION
from sentient_desktop.store.records import DesktopRecord

_MIB = 1 << 20

_UNSUPPORTED = {
    "mcp": "MCP servers",
    "iam": "workload identities",
    "volumeMounts": "volumes",
}


def _fleet(request: Request) -> Fleet:
    fleet: Fleet = request.app.state.fleet
    return fleet


def _desktop(request: Request) -> Desktop:
    return _fleet(request).get(request.path_params["id"])


def _iso(seconds: float) -> str:
    return _time_of(seconds).isoformat().replace("+00:00", "Z")


def _time_of(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def connection_body(record: DesktopRecord, request: Request) -> dict[str, Any]:
    """Return what create and connect answer: how to reach the desktop's envd and its ports.

    ``domain`` makes the SDKs' get_host() name this server; only where localhost really is it.
    """
    host, port = request.scope.get("server") or ("", 0)
    local = str(host).startswith("127.") or host == "::1"
    return {
        "domain": f"localhost:{port}" if local else None,
        "trafficAccessToken": record.traffic_token or None,
        "templateID": record.template,
        "sandboxID": record.id,
        "clientID": "local",
        "envdVersion": ENVD_VERSION,
        "envdAccessToken": record.token,
        "alias": record.template,
    }


def detail_body(desktop: Desktop) -> dict[str, Any]:
    """Return what info and list answer."""
    record, limits = desktop.record, desktop.limits
    body = {
        "templateID": record.template,
        "alias": record.template,
        "sandboxID": record.id,
        "clientID": "local",
        "startedAt": _iso(record.started_at),
        "endAt": _iso(record.end_at),
        "envdVersion": ENVD_VERSION,
        "cpuCount": max(1, round(limits.cpus)),
        "memoryMB": limits.memory_bytes // _MIB,
        "diskSizeMB": limits.disk_bytes // _MIB,
        "metadata": record.metadata,
        "state": record.state,
        "allowInternetAccess": record.internet,
        "network": record.network,
        "lifecycle": {
            "autoResume": record.auto_resume,
            "onTimeout": "pause" if record.auto_pause else "kill",
        },
        "volumeMounts": [],
    }
    if record.state == "paused":
        body["pauseMode"] = "filesystem" if desktop.jail is None else "full"
    return body


async def create(request: Request) -> Response:
    """Make a desktop from a template or a snapshot, once per Idempotency-Key."""
    body = await read_body(request)
    if key := request.headers.get(HEADER):
        replays: Replays = request.app.state.replays
        answer = await replays.once(
            key, owner_of(request).name, body, lambda: _create(request, body)
        )
    else:
        answer = await _create(request, body)
    return JSONResponse(answer, status_code=201)


async def _create(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    _refuse_unsupported(body)
    template = body.get("templateID")
    if not isinstance(template, str) or not template:
        raise ApiError(400, "templateID is required")
    auto_resume = body.get("autoResume") or {}
    network = read_network(body.get("network"))
    desktop = await _fleet(request).create(
        urllib.parse.unquote(template),
        timeout_s=read_timeout(body, DEFAULT_TIMEOUT_S),
        metadata=read_text_map(body, "metadata"),
        envs=read_environment(body, "envVars"),
        auto_pause=bool(body.get("autoPause")),
        auto_pause_memory=body.get("autoPauseMemory", True) is not False,
        auto_resume=isinstance(auto_resume, dict) and bool(auto_resume.get("enabled")),
        internet=read_internet(body),
        network=network,
        traffic_token=make_traffic_token(network),
        owner=owner_of(request).name,
    )
    return connection_body(desktop.record, request)


def _refuse_unsupported(body: dict[str, Any]) -> None:
    for field, what in _UNSUPPORTED.items():
        if body.get(field):
            raise ApiError(501, f"{what} ({field}) are not offered by this server")


async def connect(request: Request) -> Response:
    """Resume a paused desktop (201) or prolong a running one (200)."""
    body = await read_body(request)
    desktop = _desktop(request)
    was_paused = await desktop.resume(
        read_timeout(body, DEFAULT_TIMEOUT_S), keep_processes=body.get("memory", True) is not False
    )
    return JSONResponse(
        connection_body(desktop.record, request), status_code=201 if was_paused else 200
    )


async def info(request: Request) -> Response:
    """Describe one desktop."""
    desktop = _desktop(request)
    return JSONResponse(detail_body(desktop) | {"envdAccessToken": desktop.record.token})


async def kill(request: Request) -> Response:
    """End a desktop for good."""
    await _fleet(request).kill(request.path_params["id"])
    return Response(status_code=204)


async def set_timeout(request: Request) -> Response:
    """Set the end of a desktop, counted from now."""
    body = await read_body(request)
    if "timeout" not in body:
        raise ApiError(400, "timeout is required")
    await _desktop(request).set_timeout(read_timeout(body, DEFAULT_TIMEOUT_S))
    return Response(status_code=204)


async def refresh(request: Request) -> Response:
    """Prolong a desktop by ``duration`` seconds from now, never shorten it."""
    body = await read_body(request)
    await _desktop(request).resume(read_timeout({"timeout": body.get("duration", 60)}, 60))
    return Response(status_code=204)


async def pause(request: Request) -> Response:
    """Freeze a desktop; with ``memory: false`` end its processes and keep its disk."""
    body = await read_body(request)
    await _desktop(request).pause(keep_processes=body.get("memory", True) is not False)
    return Response(status_code=204)


async def list_all(request: Request) -> Response:
    """List desktops, newest first, filtered and paged; the next page is in a header."""
    query = request.query_params
    found = [desktop for desktop in desktops_of(request) if _matches(desktop.record, request)]
    found.sort(key=lambda d: (d.record.started_at, d.id), reverse=query.get("order") != "asc")
    page, headers = paginate(found, query.get("limit"), query.get("nextToken"))
    return JSONResponse([detail_body(desktop) for desktop in page], headers=headers)


def _matches(record: DesktopRecord, request: Request) -> bool:
    query = request.query_params
    # The SDKs quote keys and values, then urlencode the pairs: two layers to take off.
    pairs = urllib.parse.parse_qsl(query.get("metadata", ""))
    wanted = {urllib.parse.unquote(key): urllib.parse.unquote(value) for key, value in pairs}
    states = {state for item in query.getlist("state") for state in item.split(",") if state}
    started_after = query.get("startedAfter")
    return (
        all(record.metadata.get(key) == value for key, value in wanted.items())
        and (not states or record.state in states)
        and (not query.get("template") or record.template == query["template"])
        and (not started_after or _time_of(record.started_at) >= _parse_time(started_after))
    )


def _parse_time(text: str) -> datetime:
    try:
        # An unescaped + in the query arrives as a blank.
        return datetime.fromisoformat(text.replace(" ", "+")).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError(400, f"startedAfter is not a time: {text}") from None
