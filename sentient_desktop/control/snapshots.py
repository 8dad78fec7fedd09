"""REST calls on snapshots. On the wire a snapshot is a template, so deleting one deletes that."""

import urllib.parse
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sentient_desktop.control.body import paginate, read_body
from sentient_desktop.errors import ApiError, FreezeError
from sentient_desktop.fleet import TEMPLATES, Fleet
from sentient_desktop.store.registry import SnapshotRecord


def _body(record: SnapshotRecord) -> dict[str, Any]:
    return {"snapshotID": record.id, "names": record.names}


async def create_snapshot(request: Request) -> Response:
    """Snapshot a desktop's filesystem; ``memory: false`` must be said, because that is all it is.

    E2B's default is a full snapshot with processes. Taking that for a filesystem snapshot would
    lose processes silently, so both the default and an explicit true are refused.
    """
    body = await read_body(request)
    fleet: Fleet = request.app.state.fleet
    fleet.get(request.path_params["id"])
    if body.get("memory") is not False:
        text = 'memory snapshots are not supported here; pass mode="filesystem" (memory: false)'
        raise ApiError(400, text)
    name = body.get("name")
    if name is not None and not isinstance(name, str):
        raise ApiError(400, "name must be a text")
    try:
        record = await fleet.snapshot(request.path_params["id"], name)
    except FreezeError as error:
        code = "sandbox_snapshot_guest_agent_unresponsive"
        raise ApiError(409, str(error), error_code=code) from error
    return JSONResponse(_body(record), status_code=201)


async def list_snapshots(request: Request) -> Response:
    """List snapshots, newest first, of one desktop or of all."""
    fleet: Fleet = request.app.state.fleet
    query = request.query_params
    records = sorted(fleet.snapshots.values(), key=lambda r: (r.created_at, r.id), reverse=True)
    if query.get("sandboxID"):
        records = [record for record in records if record.desktop_id == query["sandboxID"]]
    if query.get("name"):
        name = query["name"].removesuffix(":default")
        records = [record for record in records if name in (record.id, *record.names)]
    page, headers = paginate(records, query.get("limit"), query.get("nextToken"))
    return JSONResponse([_body(record) for record in page], headers=headers)


async def delete_template(request: Request) -> Response:
    """Delete a snapshot; built-in templates cannot be deleted."""
    key = urllib.parse.unquote(request.path_params["id"])
    if key in TEMPLATES:
        raise ApiError(403, f"template '{key}' is built in and cannot be deleted")
    fleet: Fleet = request.app.state.fleet
    await fleet.delete_snapshot(key)
    return Response(status_code=204)
