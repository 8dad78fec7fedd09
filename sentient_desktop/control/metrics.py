"""REST calls that read what desktops use and used."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sentient_desktop.control.ownership import desktops_of
from sentient_desktop.control.samples import History
from sentient_desktop.errors import ApiError
from sentient_desktop.fleet import Fleet
from sentient_desktop.rpc.fields import parse_decimal

IDS_LIMIT = 100


async def read_one(request: Request) -> Response:
    """Answer with the samples of one desktop between ``start`` and ``end``, in Unix seconds."""
    fleet: Fleet = request.app.state.fleet
    history: History = request.app.state.history
    desktop = fleet.get(request.path_params["id"])
    start, end = _read_second(request, "start"), _read_second(request, "end")
    if start is not None and end is not None and start > end:
        raise ApiError(400, f"start ({start}) is after end ({end})")
    samples = await history.read(desktop, start, end)
    return JSONResponse([sample.body(fleet.limits) for sample in samples])


async def read_many(request: Request) -> Response:
    """Answer with the last sample of each desktop named; those without one are left out."""
    fleet: Fleet = request.app.state.fleet
    history: History = request.app.state.history
    given = ",".join(request.query_params.getlist("sandbox_ids"))
    ids = [desktop_id for desktop_id in given.split(",") if desktop_id]
    if not 1 <= len(ids) <= IDS_LIMIT:
        raise ApiError(400, f"sandbox_ids must name 1 to {IDS_LIMIT} sandboxes, got {len(ids)}")
    mine = {desktop.id for desktop in desktops_of(request)}
    samples = {key: history.latest(key) for key in ids if key in mine}
    found = {key: sample.body(fleet.limits) for key, sample in samples.items() if sample}
    return JSONResponse({"sandboxes": found})


def _read_second(request: Request, name: str) -> int | None:
    given = request.query_params.get(name)
    if given is None:
        return None
    if (value := parse_decimal(given, 12)) is None:
        raise ApiError(400, f"{name} must be a time in Unix seconds, got {given!r}")
    return value
