"""What a desktop may reach and who may reach it: the client's network options, read and checked.

Source: E2B's ``network`` options. What cannot be done here is refused by name.
"""

import re
import secrets
from typing import Any

from sentient_desktop.errors import ApiError

_HOST_MASK = re.compile(r"^[A-Za-z0-9.${}:_\[\]-]{1,253}$")

_UNSUPPORTED = {
    "rules": "transform rules",
    "dnsServers": "DNS servers of the client's choice",
    "egressProxy": "SOCKS5 egress proxies",
    "httpsPorts": "HTTPS towards a sandbox's port",
    "allowOut": "network rules",
    "denyOut": "network rules",
}


def read_network(body: dict[str, Any]) -> dict[str, Any]:
    """Read the network options of a create request into what is recorded.

    Raises:
        ApiError: 400 for a malformed option, 501 for one this server does not offer.
    """
    options = body.get("network") or {}
    if not isinstance(options, dict):
        raise ApiError(400, "network must be an object")
    for field, what in _UNSUPPORTED.items():
        if options.get(field):
            raise ApiError(501, f"{what} (network.{field}) are not offered by this server")
    if body.get("allow_internet_access") is True:
        raise ApiError(501, "allow_internet_access is not offered: desktops have no network at all")
    public, mask = options.get("allowPublicTraffic"), options.get("maskRequestHost")
    if public not in (None, True, False):
        raise ApiError(400, "network.allowPublicTraffic must be true or false")
    if mask and not (isinstance(mask, str) and _HOST_MASK.match(mask)):
        raise ApiError(400, "network.maskRequestHost must be a host name, ${PORT} allowed")
    return {
        key: options[key] for key in ("allowPublicTraffic", "maskRequestHost") if key in options
    }


def make_traffic_token(network: dict[str, Any]) -> str:
    """Return a new token when the ports are not public, otherwise ""."""
    return secrets.token_hex(20) if network.get("allowPublicTraffic") is False else ""
