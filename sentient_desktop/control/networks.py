"""The REST call that replaces where a desktop may go."""

from starlette.requests import Request
from starlette.responses import Response

from sentient_desktop.control.body import read_body
from sentient_desktop.errors import ApiError
from sentient_desktop.fleet import Fleet
from sentient_desktop.network.policy import read_internet, read_network


async def update(request: Request) -> Response:
    """Replace all egress rules; what the body leaves out is cleared."""
    body = await read_body(request)
    fields = {"allowOut", "denyOut", "rules", "dnsServers", "egressProxy", "allow_internet_access"}
    if unknown := body.keys() - fields:
        raise ApiError(400, f"a network update has no field {sorted(unknown)[0]!r}")
    fleet: Fleet = request.app.state.fleet
    desktop = fleet.get(request.path_params["id"])
    await desktop.set_network(read_network(body), internet=read_internet(body))
    return Response(status_code=204)
