"""What removing threads, sweeping and retention share: one home folder, its server, its saver."""

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from checkpoints.lease import recorded_threads, thread_lease
from checkpoints.ledger import FORGOTTEN, NO_SAVER, Ledger
from checkpoints.retention import Removal, Retention, named_in
from checkpoints.sweep import Report, Threads, ThreadState, sweep_desktops
from nodes.home_desktops import HomeDesktops
from sentient.endings import read_ending
from sentient.opening import Graph, config_of, open_graph, saver_of
from tools.connection import Connection
from tools.settings import Settings

ENDED = ("verified", "unsolved")
"""Statuses in the ledger of threads that came to their end."""


class HomeThreads(Threads):
    """The threads of a home folder, by its ledger and its saver."""

    def __init__(self, ledger: Ledger, graph: Graph) -> None:
        self._ledger, self._graph = ledger, graph

    async def state(self, thread: str) -> ThreadState:
        """What is true now; the saver's word on the end counts more than the ledger's."""
        if thread in self._ledger.half_forgotten():  # what is left of it is nobody's
            return ThreadState(in_ledger=False, in_saver=False, finished=False)
        row = self._ledger.thread(thread)
        newest = await self._graph.aget_state(config_of(thread))
        in_saver = bool(newest.config["configurable"].get("checkpoint_id"))
        unsaved = row is not None and row["saver"] == NO_SAVER and not in_saver
        if in_saver:
            finished = (await read_ending(self._graph, thread)).kind == "finished"
        else:
            finished = row is not None and (unsaved or row["status"] in ENDED)
        return ThreadState(row is not None, in_saver, finished, unsaved)


class Housekeeping:
    """Removes what is no longer needed; everything it did is in `report`."""

    def __init__(self, ledger: Ledger, server: HomeDesktops, graph: Graph, leases: Path) -> None:
        self.report = Report()
        self.threads = HomeThreads(ledger, graph)
        self._ledger, self._server, self._leases = ledger, server, leases
        self.saver = saver_of(graph)

    async def forget(self, thread: str) -> None:
        """Remove a thread's checkpoints and lines; its lease has to be held.

        A crash on the way leaves a thread that shows nowhere, and that a prune removes. Its
        desktops and snapshots are left to `sweep` and `collect`.
        """
        self._ledger.save_thread(thread, status=FORGOTTEN)
        await self.saver.adelete_thread(thread)
        self._ledger.forget_thread(thread)

    async def reduce(self, thread: str) -> None:
        """Remove all checkpoints of a thread but the newest; its lease has to be held."""
        await self.saver.aprune([thread], strategy="keep_latest")

    async def drop_patches(self) -> None:
        """Delete patches that no row of the ledger and no checkpoint names."""
        unused = self._ledger.unused_patches()
        named = await named_in(self.saver, unused) if unused else set()
        self._ledger.delete_patches(set(unused) - named)

    async def drop_leases(self) -> None:
        """Leave no lease files of threads that are no more; what is held or cannot be read stays.

        To be called last: whatever looks at a thread takes its lease.
        """
        for thread in await asyncio.to_thread(recorded_threads, self._leases):
            with suppress(Exception), thread_lease(self._leases, thread) as lease:
                if (await self.threads.state(thread)).is_unknown:
                    lease.discard()

    async def sweep(self, *, only: str = "", dry_run: bool = False) -> None:
        """End desktops that are nobody's; with `only`, of that one thread."""
        await sweep_desktops(
            self._server,
            self.threads,
            self._ledger.inventory,
            self._leases,
            self.report,
            only=only,
            dry_run=dry_run,
        )

    async def collect(
        self, *, only: str = "", dry_run: bool = False, removal: Removal | None = None
    ) -> None:
        """Delete snapshots that no checkpoint names; with `only`, of that one thread."""
        retention = Retention(
            self._server, self.saver, self.threads, self._ledger.inventory, self._leases
        )
        await retention.collect(self.report, only=only, dry_run=dry_run, removal=removal)
        if not dry_run:
            self._ledger.inventory.drop_ended()


@asynccontextmanager
async def housekeeping(settings: Settings, ledger: Ledger) -> AsyncIterator[Housekeeping]:
    """Open the home folder for cleaning up."""
    server = HomeDesktops(Connection(settings), settings.home)
    async with open_graph(settings) as graph:
        yield Housekeeping(ledger, server, graph, settings.leases)


@asynccontextmanager
async def swept_meanwhile(settings: Settings, ledger: Ledger) -> AsyncIterator[None]:
    """Sweep in the background of a run, which it never delays and never fails."""
    # in a context of its own, where the run's lease is somebody else's
    sweep = asyncio.create_task(_sweep(settings, ledger), context=contextvars.Context())
    try:
        yield
    finally:
        sweep.cancel()
        await asyncio.wait([sweep])


async def _sweep(settings: Settings, ledger: Ledger) -> None:
    with suppress(Exception):  # what is left is left to the next run, or to a prune, which says why
        async with housekeeping(settings, ledger) as keeper:
            await keeper.sweep()
