"""Connecting to the outside for a desktop: resolve here, judge each address, connect to that one.

The address that was judged is the address that is connected to, so a name that changes its mind
between two look-ups (DNS rebinding) gains nothing.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sentient_desktop.network.addresses import Address, Network, parse_address
from sentient_desktop.network.policy import NOT_ALLOWED, Policy, normalise
from sentient_desktop.network.streams import Stream
from sentient_desktop.operations.logs import log_event

CONNECT_TIMEOUT_S = 10.0
RESOLVE_TIMEOUT_S = 10.0
TRIED_ADDRESSES = 4
RESOLVERS = 16
NOTED_A_MINUTE = 120
LOOKUPS = 4
"""Of one desktop at once; the threads are shared, and a slow name must not take them all."""

_audit = logging.getLogger("sentient_desktop.egress")


class DeniedError(Exception):
    """The policy refuses a connection; the text says why."""


class UnreachableError(Exception):
    """A permitted connection could not be made."""


@dataclass(frozen=True)
class Outside:
    """What the operator decides about the outside, for every desktop of the server."""

    private: tuple[Network, ...] = ()
    """Blocks that are not the internet and may be reached by desktops with a rule for them."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Addresses of names that are not to be looked up."""


class Resolver:
    """Name look-ups for all desktops, in threads of their own."""

    def __init__(self, hosts: Mapping[str, str]) -> None:
        self._hosts = hosts
        self._threads = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")

    async def resolve(self, name: str) -> list[Address]:
        """Return a name's addresses, best first.

        Raises:
            UnreachableError: it has none.
        """
        if name in self._hosts:
            return [parse_address(self._hosts[name])]
        look_up = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        )
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                found = await look_up
            return [parse_address(str(entry[4][0])) for entry in found]
        except (OSError, ValueError) as error:  # a TimeoutError is an OSError
            raise UnreachableError(f"{name} could not be resolved") from error

    def close(self) -> None:
        """Let the threads end when their look-ups do."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Dialer:
    """One desktop's connections to the outside. ``policy`` may be replaced at any time."""

    def __init__(self, desktop_id: str, outside: Outside, resolver: Resolver) -> None:
        self.policy = Policy(internet=False)
        self._desktop_id = desktop_id
        self._private = outside.private
        self._resolver = resolver
        self._minute = self._noted = 0
        self._lookups = asyncio.Semaphore(LOOKUPS)

    async def open(self, host: str, port: int) -> Stream:
        """Connect to a host, given by name or address.

        Raises:
            DeniedError: no address of it is permitted.
            UnreachableError: it does not resolve or does not answer.
        """
        try:
            name, addresses = await self._find(host)
            permitted = self._permit(name, addresses)
        except DeniedError as error:
            self._note(host, port, f"denied: {error}")
            raise
        for address in permitted[:TRIED_ADDRESSES]:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    stream = await asyncio.open_connection(str(address), port)
            except OSError:
                continue
            self._note(host, port, f"allowed: {address}")
            return stream
        raise UnreachableError(f"{host}:{port} does not answer")

    async def _find(self, host: str) -> tuple[str, list[Address]]:
        try:
            address = parse_address(host)
        except ValueError:
            pass
        else:
            return str(address), [address]
        try:
            name = normalise(host)
        except ValueError as error:
            raise DeniedError(str(error)) from error
        if not self.policy.may_resolve(name):
            raise DeniedError(NOT_ALLOWED)
        async with self._lookups:
            return name, await self._resolver.resolve(name)

    def _permit(self, name: str, addresses: list[Address]) -> list[Address]:
        refusals = [self.policy.refusal(name, address, self._private) for address in addresses]
        permitted = [a for a, refusal in zip(addresses, refusals, strict=True) if refusal is None]
        if not permitted:
            raise DeniedError(next((reason for reason in refusals if reason), "no address"))
        return permitted

    def _note(self, host: str, port: int, verdict: str) -> None:
        """Log a decision; beyond the bound of a minute, their number only.

        Otherwise a guest could wash everything else out of the log.
        """
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            if self._noted > NOTED_A_MINUTE:
                left_out = self._noted - NOTED_A_MINUTE
                log_event(_audit, "egress decisions", desktop=self._desktop_id, left_out=left_out)
            self._minute, self._noted = minute, 0
        self._noted += 1
        if self._noted <= NOTED_A_MINUTE:
            target = {"host": host[:253], "port": port}
            log_event(_audit, "egress", desktop=self._desktop_id, **target, verdict=verdict)
