"""The control plane's table of routes, including those it refuses by name."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sentient_desktop.control import forks, metrics, networks, sandboxes, snapshots, templates
from sentient_desktop.control.ownership import Endpoint, for_owner
from sentient_desktop.errors import ApiError

_UNSUPPORTED = (
    ("/sandboxes/{id}/logs", "sandbox logs"),
    ("/v2/sandboxes/{id}/logs", "sandbox logs"),
    ("/volumes", "volumes"),
    ("/volumes/{rest:path}", "volumes"),
    ("/volumecontent/{rest:path}", "volumes"),
    ("/secrets", "secrets"),
    ("/secrets/{rest:path}", "secrets"),
    ("/v3/templates", "template builds"),
    ("/v2/templates/{rest:path}", "template builds"),
    ("/templates", "template builds"),
    ("/templates/tags", "tagging templates"),
    ("/templates/{rest:path}", "template builds"),
    ("/snapshots/{rest:path}", "this call on snapshots"),
    ("/teams", "teams"),
    ("/teams/{rest:path}", "teams"),
    ("/api-keys", "managing API keys"),
    ("/api-keys/{rest:path}", "managing API keys"),
)


def _refuse(path: str, what: str) -> Route:
    async def refuse(_request: Request) -> Response:
        raise ApiError(501, f"not offered by this server: {what}", retryable=False)

    return Route(path, refuse, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])


def _both(path: str, endpoint: Endpoint, method: str) -> list[Route]:
    """Route a call in both generations of paths."""
    if "/{id}" in path:
        endpoint = for_owner(endpoint)
    return [Route(prefix + path, endpoint, methods=[method]) for prefix in ("", "/v2")]


def control_routes() -> list[Route]:
    """Return the routes; the first match answers."""
    one = "/sandboxes/{id}"
    return [
        *_both("/sandboxes/metrics", metrics.read_many, "GET"),
        *_both("/sandboxes", sandboxes.create, "POST"),
        *_both("/sandboxes", sandboxes.list_all, "GET"),
        *_both(one, sandboxes.info, "GET"),
        *_both(one, sandboxes.kill, "DELETE"),
        *_both(one + "/connect", sandboxes.connect, "POST"),
        *_both(one + "/resume", sandboxes.connect, "POST"),
        *_both(one + "/timeout", sandboxes.set_timeout, "POST"),
        *_both(one + "/refreshes", sandboxes.refresh, "POST"),
        *_both(one + "/pause", sandboxes.pause, "POST"),
        *_both(one + "/network", networks.update, "PUT"),
        *_both(one + "/fork", forks.fork, "POST"),
        *_both(one + "/metrics", metrics.read_one, "GET"),
        *_both(one + "/snapshots", snapshots.create_snapshot, "POST"),
        Route("/snapshots", snapshots.list_snapshots, methods=["GET"]),
        *_both("/templates", templates.list_all, "GET"),
        Route("/templates/aliases/{id:path}", templates.find_alias, methods=["GET"]),
        Route("/templates/{id:path}/tags", templates.list_tags, methods=["GET"]),
        *(_refuse(path, what) for path, what in _UNSUPPORTED if path == "/templates/tags"),
        Route("/templates/{id:path}", templates.delete, methods=["DELETE"]),
        *(_refuse(path, what) for path, what in _UNSUPPORTED),
    ]
