"""Pruning a home folder: threads that are over, then what nothing names any more."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from checkpoints.compaction import compact, size_of
from checkpoints.lease import ThreadBusyError, thread_lease
from checkpoints.ledger import Ledger
from checkpoints.retention import Removal
from checkpoints.savers import database_file
from sentient.cleanup.housekeeping import Housekeeping, housekeeping
from sentient_desktop.store.trees import disk_usage
from tools.connection import Connection
from tools.errors import UsageError
from tools.settings import Settings


@dataclass(frozen=True)
class Wish:
    """What is to be pruned."""

    threads: Sequence[str] = ()
    """Threads by name; without any, finished ones by age."""
    keep: Literal["all", "latest", ""] = ""
    """`latest` reduces threads to their newest checkpoint; else named ones go whole."""
    older_than: timedelta | None = None
    """How long ago a thread must have ended to go whole; None: it stays."""
    force: bool = False
    """Whether named threads go that could still be resumed."""
    dry_run: bool = False


@dataclass
class Pruned:
    """What a prune did, or would do."""

    dry_run: bool
    threads: list[str] = field(default_factory=list)
    """Removed whole."""
    reduced: list[str] = field(default_factory=list)
    """Of which the newest checkpoint stays."""
    desktops: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    """Threads that were left alone because they were running."""
    unread: list[str] = field(default_factory=list)
    """What could not be read, so that nothing that depends on it was removed."""
    database_bytes: int = 0
    """By how much the databases became smaller; negative when they grew."""
    snapshot_bytes: int | None = None
    """By how much the embedded server's store became smaller; None for other servers."""


async def prune(settings: Settings, ledger: Ledger, wish: Wish) -> Pruned:
    """Remove or reduce threads, end dead desktops, delete unreachable snapshots, compact.

    Raises:
        UsageError: a named thread is unknown, or could still be resumed and `force` is not given.
        ThreadBusyError: a named thread is running.
    """
    before = await _sizes(settings)
    async with housekeeping(settings, ledger) as keeper:
        pruner = _Pruner(settings.leases, ledger, keeper, wish)
        await pruner.judge()
        if not wish.dry_run:
            await pruner.remove()
            if wish.older_than is not None:
                ledger.environments.prune(datetime.now(UTC) - wish.older_than)
        await keeper.sweep(dry_run=wish.dry_run)
        removal = Removal(frozenset(pruner.whole), frozenset(pruner.reduced))
        await keeper.collect(dry_run=wish.dry_run, removal=removal if wish.dry_run else None)
        if not wish.dry_run:
            await keeper.drop_patches()
            await keeper.drop_leases()
            if wish.older_than is not None:
                ledger.analyses.prune(datetime.now(UTC) - wish.older_than)
    if not wish.dry_run:
        ledger.close()
        for path in _databases(settings):
            await asyncio.to_thread(compact, path)
    after = await _sizes(settings)
    found = keeper.report
    return Pruned(
        dry_run=wish.dry_run,
        threads=sorted(pruner.whole),
        reduced=sorted(pruner.reduced),
        desktops=found.desktops,
        snapshots=found.snapshots,
        busy=sorted(found.busy),
        unread=found.unread,
        database_bytes=before[0] - after[0],
        snapshot_bytes=None if before[1] is None or after[1] is None else before[1] - after[1],
    )


class _Pruner:
    """Chooses threads, and removes them."""

    def __init__(self, leases: Path, ledger: Ledger, keeper: Housekeeping, wish: Wish) -> None:
        self._leases, self._ledger, self._keeper, self._wish = leases, ledger, keeper, wish
        self.whole: set[str] = set()
        self.reduced: set[str] = set()

    async def judge(self) -> None:
        """Choose what goes; named threads are all looked at before any is touched."""
        for thread in self._wish.threads:
            await self._judge_named(thread)
        if not self._wish.threads:
            self.whole |= set(self._ledger.half_forgotten())
            for row in self._ledger.threads():
                try:
                    await self._judge_by_age(row)
                except ThreadBusyError:
                    self._keeper.report.busy.add(str(row["id"]))
                except Exception as error:  # noqa: BLE001 -- what cannot be read stays
                    self._keeper.report.unread.append(f"thread {row['id']}: {error}")

    async def _judge_named(self, thread: str) -> None:
        with thread_lease(self._leases, thread):
            state = await self._keeper.threads.state(thread)
        half_forgotten = thread in self._ledger.half_forgotten()
        if state.is_unknown and not half_forgotten:
            raise UsageError(f"there is no thread {thread}", hint="list them: sentient threads")
        if state.is_elsewhere and not self._wish.force:
            hint = "name them with --checkpoints; to remove what is known here: --force"
            raise UsageError(f"the checkpoints of thread {thread} are not here", hint=hint)
        if self._wish.keep == "latest" and not half_forgotten:
            self.reduced.add(thread)
            return
        if not (state.finished or state.is_unknown or self._wish.force):
            hint = f"go on with: sentient resume {thread}; to lose it: --force"
            raise UsageError(f"thread {thread} has not ended", hint=hint)
        self.whole.add(thread)

    async def _judge_by_age(self, row: dict[str, Any]) -> None:
        thread = str(row["id"])
        with thread_lease(self._leases, thread):
            state = await self._keeper.threads.state(thread)
        if not state.finished or state.is_elsewhere:
            return
        age = datetime.now(UTC) - datetime.fromisoformat(str(row["updated"]))
        if self._wish.older_than is not None and age >= self._wish.older_than:
            self.whole.add(thread)
        elif self._wish.keep == "latest":
            self.reduced.add(thread)

    async def remove(self) -> None:
        """Remove what was chosen; a thread that was started again meanwhile is left alone."""
        for chosen, work in (
            (self.whole, self._keeper.forget),
            (self.reduced, self._keeper.reduce),
        ):
            for thread in sorted(chosen):
                try:
                    with thread_lease(self._leases, thread):
                        await self._unchanged(thread)
                        await work(thread)
                except ThreadBusyError:
                    chosen.discard(thread)
                    self._keeper.report.busy.add(thread)
                except NotImplementedError as error:  # its checkpoints are of a graph not ours
                    chosen.discard(thread)
                    self._keeper.report.unread.append(str(error))

    async def _unchanged(self, thread: str) -> None:
        """Refuse a thread that was finished when it was chosen and has been taken up since.

        Raises:
            ThreadBusyError: it is under way again.
        """
        state = await self._keeper.threads.state(thread)
        if not (state.finished or state.is_unknown or self._wish.threads):
            raise ThreadBusyError(f"THREAD_BUSY: thread {thread} was taken up again")


def _databases(settings: Settings) -> list[Path]:
    checkpoints = database_file(settings.checkpoints.get_secret_value(), settings.home)
    return [settings.home / "ledger.db", *([checkpoints] if checkpoints else [])]


async def _sizes(settings: Settings) -> tuple[int, int | None]:
    """Bytes of the databases, and of the embedded server's snapshots if there is one."""
    databases = sum(map(size_of, _databases(settings)))
    connection = Connection(settings)
    if not connection.is_embedded:
        return databases, None
    return databases, await asyncio.to_thread(disk_usage, connection.data_dir / "layers")
