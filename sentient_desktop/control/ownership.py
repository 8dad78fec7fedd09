"""Whose request it is, and what of the fleet its owner may see: the rest does not exist for it."""

import functools
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from sentient_desktop.desktop import Desktop
from sentient_desktop.errors import ApiError
from sentient_desktop.fleet import Fleet
from sentient_desktop.owners import Owner
from sentient_desktop.store.records import SnapshotRecord

Endpoint = Callable[[Request], Awaitable[Response]]


def owner_of(request: Request) -> Owner:
    """Return the owner whose API key came with the request; the application has checked it."""
    owner: Owner = request.scope["owner"]
    return owner


def _fleet(request: Request) -> Fleet:
    fleet: Fleet = request.app.state.fleet
    return fleet


def desktops_of(request: Request) -> list[Desktop]:
    """Return the owner's desktops."""
    owner, desktops = owner_of(request).name, _fleet(request).desktops
    return [desktop for desktop in desktops.values() if desktop.record.owner == owner]


def snapshots_of(request: Request) -> list[SnapshotRecord]:
    """Return the owner's snapshots."""
    owner, snapshots = owner_of(request).name, _fleet(request).snapshots
    return [record for record in snapshots.values() if record.owner == owner]


def for_owner(endpoint: Endpoint) -> Endpoint:
    """Let a call on one desktop through for its owner only; others hear what they hear of none."""

    @functools.wraps(endpoint)
    async def checked(request: Request) -> Response:
        desktop_id = request.path_params["id"]
        desktop = _fleet(request).desktops.get(desktop_id)
        if desktop is not None and desktop.record.owner != owner_of(request).name:
            raise ApiError(404, f"sandbox '{desktop_id}' not found")
        return await endpoint(request)

    return checked
