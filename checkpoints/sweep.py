"""The sweep: ends the desktops of this home that are proven to be nobody's (law 6).

Proven is only what was read: an unreadable set is not an empty set. While it decides about a
thread it holds that thread's lease, so no run starts under it, and a running thread is left alone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from checkpoints.inventory import Inventory
from checkpoints.lease import ThreadBusyError, thread_lease


@dataclass(frozen=True)
class FoundDesktop:
    """A desktop as its server lists it."""

    id: str
    thread: str
    role: str
    """`work`, or what it serves while one step lasts: `verdict`, `environment`; and `-N` in the
    N-th of several lines of work."""

    @property
    def is_working(self) -> bool:
        """Whether it holds work that a resumed run goes on with."""
        return self.role.partition("-")[0] == "work"


class DesktopServer(Protocol):
    """A server's desktops and snapshots that carry this home's mark."""

    @property
    def name(self) -> str:
        """Tells servers apart: ids of one mean nothing to another."""
        ...

    async def desktops(self) -> Sequence[FoundDesktop]:
        """Every desktop of this home, running or paused."""
        ...

    async def kill(self, desktop_id: str) -> None:
        """End a desktop; one that is gone already is no error."""
        ...

    async def snapshots(self, desktop_id: str) -> Sequence[str]:
        """Every snapshot taken of a desktop, whether it still lives or not."""
        ...

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot; one that is gone already is no error."""
        ...


@dataclass(frozen=True)
class ThreadState:
    """What the ledger and the saver say of a thread."""

    in_ledger: bool
    """Whether the ledger knows it, and it is not being forgotten."""
    in_saver: bool
    """Whether this home's saver has a checkpoint of it."""
    finished: bool
    """Whether it ended: verified or unsolved, with nothing left to run."""
    unsaved: bool = False
    """Whether it ran without a saver, so that there are no checkpoints anywhere."""

    @property
    def is_unknown(self) -> bool:
        """Nobody can go on with it."""
        return not (self.in_ledger or self.in_saver)

    @property
    def is_elsewhere(self) -> bool:
        """Its checkpoints are with another saver, which cannot be asked what they name."""
        return self.in_ledger and not (self.in_saver or self.unsaved)


class Threads(Protocol):
    """Where the state of threads is read."""

    async def state(self, thread: str) -> ThreadState:
        """The state of a thread; any exception means that it cannot be read."""
        ...


@dataclass
class Report:
    """What was removed, and what was left because it was in use or could not be read."""

    desktops: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    """Threads that were running."""
    unread: list[str] = field(default_factory=list)
    """What could not be read or removed, in words; nothing that depends on it was removed."""


async def sweep_desktops(
    server: DesktopServer,
    threads: Threads,
    inventory: Inventory,
    leases: Path,
    report: Report,
    *,
    only: str = "",
    dry_run: bool = False,
) -> None:
    """End short-lived desktops of idle threads, and all of threads that ended or are unknown.

    Threads that wait or were interrupted keep their working desktop. With `only`, the desktops of
    that one thread are looked at.
    """
    try:
        recorded = await asyncio.to_thread(inventory.desktops, server.name)
        found = await server.desktops()
    except Exception as error:  # noqa: BLE001 -- whatever the reason: what is there is not known
        report.unread.append(f"the desktops of {server.name}: {error}")
        return
    there = {desktop.id for desktop in found}
    for row in recorded:
        if row["id"] not in there and row["role"] and not row["ended"]:
            await asyncio.to_thread(inventory.end_desktop, str(row["id"]), "gone")
    for thread in sorted({desktop.thread for desktop in found if only in ("", desktop.thread)}):
        mine = [desktop for desktop in found if desktop.thread == thread]
        try:
            with thread_lease(leases, thread):
                for desktop in await _dead(mine, threads):
                    await _record(inventory, server, desktop)
                    if not dry_run:
                        await server.kill(desktop.id)
                        await asyncio.to_thread(inventory.end_desktop, desktop.id, "swept")
                    report.desktops.append(desktop.id)
        except ThreadBusyError:
            report.busy.add(thread)
        except Exception as error:  # noqa: BLE001 -- one thread must not keep the others
            report.unread.append(f"the desktops of thread {thread}: {error}")


async def _dead(desktops: Sequence[FoundDesktop], threads: Threads) -> list[FoundDesktop]:
    """Those of one thread that nothing will use again; called with the thread's lease held."""
    state = await threads.state(desktops[0].thread)
    if state.is_unknown or state.finished:
        return list(desktops)
    return [desktop for desktop in desktops if not desktop.is_working]


async def _record(inventory: Inventory, server: DesktopServer, desktop: FoundDesktop) -> None:
    """A crash may have come between making a desktop and writing it down."""
    await asyncio.to_thread(
        inventory.save_desktop,
        desktop.id,
        server=server.name,
        thread=desktop.thread,
        role=desktop.role,
    )
