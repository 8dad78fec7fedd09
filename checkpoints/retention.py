"""Retention: deletes snapshots that no checkpoint names, and never one that is named.

What a thread's files were is in snapshots; a fork names those of the thread it was copied from,
so whether one is needed is asked of every checkpoint of every thread, pending writes included.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Send

from checkpoints.inventory import Inventory
from checkpoints.lease import ThreadBusyError, thread_lease
from checkpoints.sweep import DesktopServer, Report, Threads


@dataclass(frozen=True)
class Removal:
    """Checkpoints that are about to be removed, for a look ahead; none by default."""

    threads: Set[str] = frozenset()
    """Threads that go whole."""
    reduced: Set[str] = frozenset()
    """Threads of which the newest checkpoint of each namespace stays."""


def strings_in(value: Any) -> Iterator[str]:
    """Every string in plain data, however deep.

    This is how a checkpoint names snapshots: as a string anywhere in any channel but messages. No
    list of channels has to be kept, so none can be forgotten.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, Send):
        yield from strings_in(value.arg)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from strings_in(item)


async def named_in(
    saver: BaseCheckpointSaver[Any], wanted: Collection[str], removal: Removal | None = None
) -> set[str]:
    """Those of `wanted` that any checkpoint of any thread names, or a write that waits for one.

    Reads every checkpoint; any failure to read one is raised, since what it names is not known.
    """
    removal, found, seen = removal or Removal(), set[str](), set[tuple[str, str]]()
    async for item in saver.alist(None):  # newest first; nothing else uses the saver meanwhile
        place = item.config["configurable"]
        thread, namespace = str(place["thread_id"]), str(place.get("checkpoint_ns", ""))
        older = (thread, namespace) in seen
        seen.add((thread, namespace))
        if thread in removal.threads or (older and thread in removal.reduced):
            continue
        found.update(text for text in _strings(item) if text in wanted)
    return found


def _strings(item: CheckpointTuple) -> Iterator[str]:
    yield from strings_in(item.checkpoint["channel_values"])
    for _, _, value in item.pending_writes or ():
        yield from strings_in(value)


@dataclass(frozen=True)
class Retention:
    """What collecting snapshots needs: where they are, who names them, who runs."""

    server: DesktopServer
    saver: BaseCheckpointSaver[Any]
    threads: Threads
    inventory: Inventory
    leases: Path

    async def collect(
        self,
        report: Report,
        *,
        only: str = "",
        dry_run: bool = False,
        removal: Removal | None = None,
    ) -> None:
        """Delete every snapshot of this home on this server that no checkpoint names.

        Threads whose snapshots are judged are kept from running meanwhile; running ones, and those
        whose checkpoints are with another saver, keep all of theirs. With `only`, the snapshots of
        that one thread are judged.
        """
        removal = removal or Removal()
        await self._find_unrecorded(report, only)
        rows = await asyncio.to_thread(self.inventory.snapshots, self.server.name)
        owner = {str(row["id"]): str(row["thread"]) for row in rows if only in ("", row["thread"])}
        if not owner:
            return
        try:
            candidates = owner.keys() - await named_in(self.saver, owner, removal)
            with ExitStack() as leases:
                idle = {
                    thread
                    for thread in sorted({owner[snapshot] for snapshot in candidates})
                    if await self._is_judged(thread, leases, report, removal)
                }
                candidates = {snapshot for snapshot in candidates if owner[snapshot] in idle}
                # again, now that none of these threads can save a checkpoint
                candidates -= await named_in(self.saver, candidates, removal)
                for snapshot in sorted(candidates):
                    await self._delete(snapshot, report, dry_run=dry_run)
        except Exception as error:  # noqa: BLE001 -- whatever the reason: what is named is not known
            report.unread.append(f"the checkpoints, so no more snapshots were deleted: {error}")

    async def _is_judged(
        self, thread: str, leases: ExitStack, report: Report, removal: Removal
    ) -> bool:
        """Take a thread's lease; True when what its snapshots are needed for can be read."""
        try:
            leases.enter_context(thread_lease(self.leases, thread))
        except ThreadBusyError:
            report.busy.add(thread)
            return False
        state = await self.threads.state(thread)
        return thread in removal.threads or not state.is_elsewhere

    async def _find_unrecorded(self, report: Report, only: str) -> None:
        """Write down snapshots that were taken, but not recorded before a crash."""
        for desktop in await asyncio.to_thread(self.inventory.desktops, self.server.name):
            key, thread = str(desktop["id"]), str(desktop["thread"])
            if only not in ("", thread):
                continue
            try:
                for snapshot in await self.server.snapshots(key):
                    await asyncio.to_thread(
                        self.inventory.save_snapshot,
                        snapshot,
                        server=self.server.name,
                        thread=thread,
                        desktop=key,
                    )
                if desktop["ended"]:  # it had ended before it was asked, so no more can come
                    await asyncio.to_thread(self.inventory.mark_listed, key)
            except Exception as error:  # noqa: BLE001 -- this desktop's stay; others are judged
                report.unread.append(f"the snapshots of desktop {key}: {error}")

    async def _delete(self, snapshot: str, report: Report, *, dry_run: bool) -> None:
        if not dry_run:
            try:
                await self.server.delete_snapshot(snapshot)
            except Exception as error:  # noqa: BLE001 -- it stays recorded, for another time
                report.unread.append(f"snapshot {snapshot}: {error}")
                return
            await asyncio.to_thread(self.inventory.delete_snapshot, snapshot)
        report.snapshots.append(snapshot)
