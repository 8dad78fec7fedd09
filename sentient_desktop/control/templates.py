"""REST calls on templates. On the wire a snapshot is a template too: deleting one deletes that."""

import time
import urllib.parse
import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sentient_desktop.control.ownership import owner_of
from sentient_desktop.errors import ApiError
from sentient_desktop.fleet import Fleet
from sentient_desktop.settings import ENVD_VERSION, Limits
from sentient_desktop.templates.recipes import TEMPLATES

_STARTED = time.time()
"""Built-in templates belong to the server: they are as old as it."""

_MIB = 1 << 20


def _key(request: Request) -> str:
    return urllib.parse.unquote(request.path_params["id"])


def _find(request: Request) -> tuple[str, float]:
    """Return (template id, creation time) of a built-in template or a snapshot.

    Raises:
        ApiError: 404.
    """
    key = _key(request)
    if (name := key.removesuffix(":default")) in TEMPLATES:
        return name, _STARTED
    fleet: Fleet = request.app.state.fleet
    if (record := fleet.find_snapshot(key, owner_of(request).name)) is None:
        raise ApiError(404, f"template '{key}' not found")
    return record.id, record.created_at


def _build_id(template: str) -> str:
    """Return the UUID the wire wants for a build: there is one per template, named by it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sentient-desktop:{template}"))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _body(name: str, limits: Limits) -> dict[str, Any]:
    return {
        "templateID": name,
        "buildID": _build_id(name),
        "names": [name],
        "aliases": [name],
        "public": True,
        "cpuCount": max(1, round(limits.cpus)),
        "memoryMB": limits.memory_bytes // _MIB,
        "diskSizeMB": limits.disk_bytes // _MIB,
        "envdVersion": ENVD_VERSION,
        "buildStatus": "ready",
        "buildCount": 1,
        "spawnCount": 0,
        "createdAt": _time(_STARTED),
        "updatedAt": _time(_STARTED),
        "createdBy": None,
        "lastSpawnedAt": None,
    }


async def list_all(request: Request) -> Response:
    """List the built-in templates; snapshots have a list of their own."""
    fleet: Fleet = request.app.state.fleet
    return JSONResponse([_body(name, fleet.limits) for name in sorted(TEMPLATES)])


async def find_alias(request: Request) -> Response:
    """Say whether a template or named snapshot exists; the SDKs' ``Template.exists``."""
    name, _ = _find(request)
    return JSONResponse({"templateID": name, "public": name in TEMPLATES})


async def list_tags(request: Request) -> Response:
    """List the tags of a template; there is one build of each, so there is one tag."""
    name, created_at = _find(request)
    tag = {"tag": "default", "buildID": _build_id(name), "createdAt": _time(created_at)}
    return JSONResponse([tag])


async def delete(request: Request) -> Response:
    """Delete a snapshot; desktops made from it live on. Built-in templates cannot be deleted."""
    key = _key(request)
    if key.removesuffix(":default") in TEMPLATES:
        raise ApiError(403, f"template '{key}' is built in and cannot be deleted")
    fleet: Fleet = request.app.state.fleet
    await fleet.delete_snapshot(key, owner_of(request).name)
    return Response(status_code=204)
