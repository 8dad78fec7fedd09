"""What a desktop may reach and who may reach it: the client's network options, read and checked.

Source: E2B's ``network`` options and the checks its API makes. What cannot be done here is
refused by name.
"""

import re
import secrets
from dataclasses import dataclass
from typing import Any, Literal

from sentient_desktop.errors import ApiError
from sentient_desktop.network.addresses import (
    Address,
    Network,
    holds,
    is_public,
    parse_network,
)

PROXY_PORT = 3128
RULE_LIMIT = 1000

NOT_ALLOWED = "the sandbox's network rules do not allow it"

Mode = Literal["none", "proxy", "open"]

_MASK = re.compile(r"[A-Za-z0-9.${}:_\[\]-]{1,253}")
_NAME = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_-]{1,63}")
_UNSUPPORTED = {
    "rules": "transform rules",
    "dnsServers": "DNS servers of the client's choice",
    "egressProxy": "SOCKS5 egress proxies",
    "httpsPorts": "HTTPS towards a sandbox's port",
}


def normalise(name: str) -> str:
    """Return a host name as it is compared: lower case, ASCII, without the root's dot.

    Raises:
        ValueError: no host can have this name.
    """
    wildcard, rest = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    try:
        plain = wildcard + rest.rstrip(".").encode("idna").decode().lower()
    except UnicodeError as error:
        raise ValueError(f"{name!r} is not a host name") from error
    if len(plain) > 253 or not _NAME.fullmatch(plain):
        raise ValueError(f"{name!r} is not a host name")
    return plain


@dataclass(frozen=True)
class Policy:
    """Where the guest may go. What is allowed by name or block wins over what is denied."""

    internet: bool
    """Whether what no rule mentions is allowed."""
    allowed: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()
    """Allowed host names; ``*.example.com`` stands for every name below."""
    denied: tuple[Network, ...] = ()

    @classmethod
    def of(cls, internet: bool, options: dict[str, Any]) -> "Policy":
        """Make the policy of recorded options, which were checked before they were recorded."""
        allowed, names = _split(options.get("allowOut") or [])
        denied, _ = _split(options.get("denyOut") or [])
        return cls(internet, allowed, names, denied)

    @property
    def mode(self) -> Mode:
        """No way out at all, one under rules, or an open one."""
        if self.allowed or self.names:
            return "proxy"
        if self._closed:
            return "none"
        return "proxy" if self.denied else "open"

    def refusal(self, name: str, address: Address, private: tuple[Network, ...]) -> str | None:
        """Say why a host, at the address its name resolved to, may not be reached; None if it may.

        Addresses that are not the internet's are for the operator to open (``private``), and then
        only to desktops whose policy allows them by a rule of its own.
        """
        specific = tuple(network for network in self.allowed if network.prefixlen)
        ruled = self._allows_name(name) or holds(specific, address)
        if not is_public(address) and not (ruled and holds(private, address)):
            return f"{address} is not a public address"
        if ruled or holds(self.allowed, address):
            return None
        if self._closed or holds(self.denied, address):
            return NOT_ALLOWED
        return None

    @property
    def _closed(self) -> bool:
        """Whether what no rule mentions is denied."""
        return not self.internet or any(network.prefixlen == 0 for network in self.denied)

    def may_resolve(self, name: str) -> bool:
        """Whether a name may be looked up at all; under an allowlist, look-ups too carry data out.

        Blocks of an allowlist are then reached by literal address only, as with E2B.
        """
        return not self._closed or self._allows_name(name)

    def _allows_name(self, name: str) -> bool:
        parts = name.split(".")
        below = {"*." + ".".join(parts[start:]) for start in range(1, len(parts))}
        return not self.names.isdisjoint({name} | below)


def _split(entries: list[str]) -> tuple[tuple[Network, ...], frozenset[str]]:
    networks, names = [], set()
    for entry in entries:
        try:
            networks.append(parse_network(entry))
        except ValueError:
            names.add(normalise(entry))
    return tuple(networks), frozenset(names)


def read_network(options: Any) -> dict[str, Any]:
    """Check the network options of a create or update request; return what is recorded of them.

    Raises:
        ApiError: 400 for a malformed option, 501 for one this server does not offer.
    """
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise ApiError(400, "network must be an object")
    for field, what in _UNSUPPORTED.items():
        if options.get(field):
            text = f"{what} (network.{field}) are not offered by this server"
            raise ApiError(501, text, retryable=False)
    public, mask = options.get("allowPublicTraffic"), options.get("maskRequestHost")
    if public not in (None, True, False):
        raise ApiError(400, "network.allowPublicTraffic must be true or false")
    if mask and not (isinstance(mask, str) and _MASK.fullmatch(mask)):
        raise ApiError(400, "network.maskRequestHost must be a host name; ${PORT} may stand in it")
    _check_rules(_read_entries(options, "allowOut"), _read_entries(options, "denyOut"))
    fields = ("allowOut", "denyOut", "allowPublicTraffic", "maskRequestHost")
    return {name: options[name] for name in fields if options.get(name) is not None}


def read_internet(body: dict[str, Any]) -> bool:
    """Read ``allow_internet_access``; absent means yes, as with E2B.

    Raises:
        ApiError: 400.
    """
    value = body.get("allow_internet_access")
    if value not in (None, True, False):
        raise ApiError(400, "allow_internet_access must be true or false")
    return value is not False


def _read_entries(options: dict[str, Any], field: str) -> list[str]:
    value = options.get(field) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ApiError(400, f"network.{field} must be a list of texts")
    if len(value) > RULE_LIMIT:
        raise ApiError(400, f"network.{field} has {len(value)} entries; {RULE_LIMIT} are allowed")
    return value


def _check_rules(allow: list[str], deny: list[str]) -> None:
    try:
        _, names = _split(allow)
    except ValueError as error:
        raise ApiError(400, f"network.allowOut: {error}") from error
    for entry in deny:
        try:
            parse_network(entry)
        except ValueError:
            text = f"network.denyOut: {entry!r} is not an address or CIDR block; names are not"
            raise ApiError(400, f"{text} supported in deny rules") from None
    if names and not any(parse_network(entry).prefixlen == 0 for entry in deny):
        raise ApiError(
            400,
            "network.allowOut names domains: that needs all other traffic denied, "
            "denyOut ['0.0.0.0/0']",
        )


def make_traffic_token(network: dict[str, Any]) -> str:
    """Return a new token when the ports are not public, otherwise an empty text."""
    return secrets.token_hex(20) if network.get("allowPublicTraffic") is False else ""


def proxy_environment(policy: Policy) -> dict[str, str]:
    """Return the variables that lead ordinary programs to the way out, if there is one."""
    if policy.mode == "none":
        return {}
    found = {"no_proxy": "localhost,127.0.0.1,::1"}
    found |= dict.fromkeys(("http_proxy", "https_proxy"), f"http://127.0.0.1:{PROXY_PORT}")
    return found | {name.upper(): value for name, value in found.items()}
