"""REST calls on snapshots, except deleting one: on the wire a snapshot is a template."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sentient_desktop.control.body import paginate, read_body
from sentient_desktop.control.ownership import snapshots_of
from sentient_desktop.errors import ApiError, FreezeError
from sentient_desktop.fleet import Fleet
from sentient_desktop.store.records import SnapshotRecord
from sentient_desktop.templates.recipes import TEMPLATES
from sentient_desktop.whole import whole

_NAME = re.compile(r"[A-Za-z0-9._/-]{1,128}(:[A-Za-z0-9._-]{1,128})?")


def _body(record: SnapshotRecord) -> dict[str, Any]:
    return {"snapshotID": record.id, "names": record.names}


async def create_snapshot(request: Request) -> Response:
    """Snapshot a desktop's filesystem, which is the only kind there is here.

    A request that names no kind leaves it to the server. One that asks for memory, which is
    ``mode="full"`` in the SDKs, is refused: its processes would be lost silently.
    """
    body = await read_body(request)
    fleet: Fleet = request.app.state.fleet
    fleet.get(request.path_params["id"])
    if body.get("memory") not in (None, False):
        text = 'snapshots of memory are not offered by this server; pass mode="filesystem"'
        raise ApiError(400, text)
    name = _read_name(body)
    try:
        record = await whole(fleet.snapshot(request.path_params["id"], name))
    except FreezeError as error:
        code = "sandbox_snapshot_guest_agent_unresponsive"
        raise ApiError(409, str(error), error_code=code) from error
    return JSONResponse(_body(record), status_code=201)


def _read_name(body: dict[str, Any]) -> str | None:
    """Read a snapshot's optional name; it must not hide a built-in template.

    Raises:
        ApiError: 400.
    """
    name = body.get("name")
    if name is None:
        return None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ApiError(
            400, f"name must be letters, digits and ._/- with an optional :tag, got {name!r}"
        )
    name = name.removesuffix(":default")
    if name.partition(":")[0] in TEMPLATES:
        raise ApiError(400, f"name '{name}' is that of a built-in template")
    return name


async def list_snapshots(request: Request) -> Response:
    """List snapshots, newest first, of one desktop or of all."""
    query = request.query_params
    records = sorted(snapshots_of(request), key=lambda r: (r.created_at, r.id), reverse=True)
    if query.get("sandboxID"):
        records = [record for record in records if record.desktop_id == query["sandboxID"]]
    if query.get("name"):
        name = query["name"].removesuffix(":default")
        records = [record for record in records if name in (record.id, *record.names)]
    page, headers = paginate(records, query.get("limit"), query.get("nextToken"))
    return JSONResponse([_body(record) for record in page], headers=headers)
