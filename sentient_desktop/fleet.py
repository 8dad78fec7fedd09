"""All desktops and snapshots of one data folder: making, finding and ending them."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from sentient_desktop.desktop import Desktop, Workshop
from sentient_desktop.errors import ApiError
from sentient_desktop.limits.disk import require_space
from sentient_desktop.owners import require_quota, require_snapshot_quota
from sentient_desktop.pool import Pool
from sentient_desktop.sandbox.uids import owners_below
from sentient_desktop.settings import Limits, Quota
from sentient_desktop.store.chains import Chains
from sentient_desktop.store.disks import make_disk
from sentient_desktop.store.layers import new_name
from sentient_desktop.store.records import (
    POOLED,
    DesktopRecord,
    SnapshotRecord,
    fork_record,
    layers_of,
    new_record,
)
from sentient_desktop.store.trees import disk_usage
from sentient_desktop.templates.recipes import TEMPLATES, require_template

REAP_INTERVAL_S = 0.2

_log = logging.getLogger(__name__)


class Fleet:
    """The server's desktops and snapshots; mirrors the registry, which it reads once."""

    def __init__(
        self,
        workshop: Workshop,
        folder: Path,
        *,
        pooled: int = 0,
        quota_of: Callable[[str], Quota] = lambda _owner: Quota(),
    ) -> None:
        """Read the registry. ``pooled`` is how many desktops to keep ready of each template."""
        self._quota_of = quota_of
        self._layer_bytes: dict[str, int] = {}
        self._pool = Pool(pooled, self._make_member)
        self._workshop = workshop
        self._folder = folder
        self._sweeping = asyncio.Lock()
        self.chores: list[asyncio.Task[None]] = []
        """What runs beside the requests until shut_down()."""
        self.desktops = {
            record.id: Desktop(record, folder / record.id, workshop)
            for record in workshop.registry.desktops()
        }
        self.snapshots = {record.id: record for record in workshop.registry.snapshots()}
        self._chains = Chains(workshop.registry, workshop.layers, self.snapshots, self._sweeping)

    @property
    def limits(self) -> Limits:
        """What each desktop may use."""
        return self._workshop.limits

    @property
    def pooled(self) -> int:
        """How many desktops of the pool wait for a create."""
        return self._pool.ready

    async def create(self, template: str, **choices: Any) -> Desktop:
        """Make and boot a desktop from a template or snapshot; ``choices`` are record fields.

        The ``owner`` must be among them.

        Raises:
            ApiError: 404 for a template nobody knows, 501 or 503 when it cannot be had here.
            BootError: it did not start; nothing of it is left.
        """
        require_space(self._folder, self._workshop.limits.free_bytes)
        self._admit(choices["owner"], 1)
        source = await self._find_mountable(template, choices["owner"])
        if source is None:
            require_template(template)
        member = self._pool.begin(template if source is None else "")
        try:
            if member is not None:
                self.desktops[member.id] = member
                return await self._attempt(member, member.claim(**choices))
            record = new_record(
                template,
                software=source.software if source else template,
                layers=list(source.layers) if source else [],
                **choices,
            )
            desktop = await self._make(record)
            if source is None:
                self._pool.want(template)
            return desktop
        finally:
            self._pool.end()

    async def fork(self, desktop_id: str, count: int, timeout_s: int) -> list[Desktop | Exception]:
        """Make ``count`` desktops that start from a desktop's disk as it is now, with its choices.

        Processes are not copied: each fork boots. Each may fail by itself, and is an error then.

        Raises:
            ApiError: 404.
            FreezeError: the parent could not be stopped for the copy.
        """
        require_space(self._folder, self._workshop.limits.free_bytes)
        parent = self.get(desktop_id)
        self._admit(parent.record.owner, count)
        async with self._captured(parent, to_mount=True) as layers:
            self._admit(parent.record.owner, count)  # others may have been made meanwhile
            records = [fork_record(parent.record, layers, timeout_s) for _ in range(count)]
            forks = [self._make(record) for record in records]
        made = await asyncio.gather(*forks, return_exceptions=True)
        if not self._workshop.overlay or not any(isinstance(fork, Desktop) for fork in made):
            await self.sweep_layers()
        return [_fork_of(result) for result in made]

    def _admit(self, owner: str, count: int) -> None:
        """Demand that ``count`` more desktops are within the owner's quota."""
        there = sum(desktop.record.owner == owner for desktop in self.desktops.values())
        require_quota(owner, self._quota_of(owner), there + count, self.limits)

    @contextlib.asynccontextmanager
    async def _captured(
        self, desktop: Desktop, *, to_mount: bool = False
    ) -> AsyncIterator[list[str]]:
        """Copy a desktop's disk; the block gets its chain, and must write it into a row.

        With ``to_mount`` the chain is short enough to be mounted under one layer more, which may
        take long; without, it may be longer. Desktops are copied side by side; only the block runs
        alone.
        """
        name, layers = new_name(), self._workshop.layers
        with layers.held([name]) as hold:
            chain = await desktop.capture(name, partial(self._hold_base, desktop, hold))
            if to_mount:
                await self._chains.make_mountable(chain)
            async with self._sweeping:
                chain = self._chains.shorten(chain)
                yield chain
        self._chains.note(chain)

    async def _hold_base(self, desktop: Desktop, hold: Callable[[list[str]], None]) -> None:
        """Hold what a desktop's next capture stands on, as far as sweeps have left it."""
        async with self._sweeping:
            captures = desktop.captures
            captures.shortened(self._chains.shorten(captures.chain))
            hold([*desktop.record.layers, *captures.chain])

    async def _find_mountable(self, key: str, owner: str) -> SnapshotRecord | None:
        """Find a snapshot; merge its layers now if they are too many, which is seldom."""
        source = self.find_snapshot(key, owner)
        if source is not None and len(source.layers) > self._workshop.layers.longest_chain:
            with self._workshop.layers.held(source.layers):
                await self._chains.make_mountable(source.layers)
            source = self.find_snapshot(key, owner)
        return source

    def _make(self, record: DesktopRecord) -> Coroutine[None, None, Desktop]:
        """Return the work of making and booting the desktop of a record that is new."""
        desktop = Desktop(record, self._folder / record.id, self._workshop)
        self.desktops[record.id] = desktop  # from here on its layers are in use
        return self._attempt(desktop, self._boot(desktop))

    async def _boot(self, desktop: Desktop) -> None:
        await desktop.start(lambda: self._prepare(desktop))

    async def _attempt(self, desktop: Desktop, work: Awaitable[None]) -> Desktop:
        """Finish making a desktop, or leave nothing of it."""
        try:
            await work
        except BaseException:
            self.desktops.pop(desktop.id, None)
            await asyncio.shield(desktop.delete())
            raise
        return desktop

    async def _make_member(self, template: str) -> Desktop:
        """Make a desktop for the pool: not among the others, and no one's yet."""
        require_space(self._folder, self._workshop.limits.free_bytes)
        record = new_record(template, software=template, state=POOLED, timeout_s=0)
        desktop = Desktop(record, self._folder / record.id, self._workshop)
        return await self._attempt(desktop, self._boot(desktop))

    def _prepare(self, desktop: Desktop) -> None:
        """Write the row, then make the disk it names: over its layers, or a fresh one."""
        record = desktop.record
        if self._workshop.uids is not None:
            left = owners_below(self._folder, self._workshop.layers.folder)
            self._workshop.registry.save_with_uid(record, self._workshop.uids, left)
        else:
            self._workshop.registry.save(record)
        make_disk(record, desktop.disk, self._workshop.layers, overlay=self._workshop.overlay)

    def get(self, desktop_id: str) -> Desktop:
        """Find a desktop.

        Raises:
            ApiError: 404.
        """
        desktop = self.desktops.get(desktop_id)
        if desktop is None or desktop.deleted:
            raise ApiError(404, f"sandbox '{desktop_id}' not found")
        return desktop

    async def kill(self, desktop_id: str) -> None:
        """End a desktop for good: processes, disk, row, and layers only it used."""
        await self._erase(self.get(desktop_id))

    async def _erase(self, desktop: Desktop) -> None:
        await desktop.delete()
        self.desktops.pop(desktop.id, None)
        await self.sweep_layers()

    async def snapshot(self, desktop_id: str, name: str | None) -> SnapshotRecord:
        """Snapshot a desktop's disk, under an optional name of the caller's.

        Raises:
            ApiError: 404, or 429 for an owner whose snapshots fill the quota.
            FreezeError: it could not be stopped for the copy.
        """
        owner = self.get(desktop_id).record.owner
        await self._admit_snapshot(owner)
        desktop = self.get(desktop_id)
        async with self._captured(desktop) as layers:
            await self._admit_snapshot(owner)  # others may have been taken meanwhile
            record = SnapshotRecord(
                id=f"snapshot-{secrets.token_hex(10)}",
                desktop_id=desktop_id,
                template=desktop.record.template,
                software=desktop.record.software,
                created_at=time.time(),
                uid=desktop.record.uid,
                layers=layers,
                names=[name] if name else [],
                owner=owner,
            )
            await asyncio.to_thread(self._workshop.registry.save, record)
            self.snapshots[record.id] = record
        return record

    async def _admit_snapshot(self, owner: str) -> None:
        """Demand that an owner's snapshots do not fill the quota."""
        used = await asyncio.to_thread(self._measure_snapshots, owner)
        require_snapshot_quota(owner, self._quota_of(owner), used)

    def _measure_snapshots(self, owner: str) -> int:
        """Sum the bytes of the layers an owner's snapshots stand on. Blocks, once per layer."""
        if not self._quota_of(owner).snapshot_bytes:
            return 0
        mine = [record for record in list(self.snapshots.values()) if record.owner == owner]
        for name in (names := layers_of(mine)) - self._layer_bytes.keys():
            self._layer_bytes[name] = disk_usage(self._workshop.layers.path(name))
        return sum(self._layer_bytes[name] for name in names)

    def find_snapshot(self, key: str, owner: str) -> SnapshotRecord | None:
        """Find an owner's snapshot by id, or its newest of a name; ``:default`` adds nothing."""
        key = key.removesuffix(":default")
        mine = [record for record in self.snapshots.values() if record.owner == owner]
        named = [record for record in mine if key == record.id or key in record.names]
        return max(named, key=lambda record: record.created_at, default=None)

    async def delete_snapshot(self, key: str, owner: str) -> None:
        """Forget a snapshot; desktops made from it keep the layers they stand on.

        Raises:
            ApiError: 404.
        """
        record = self.find_snapshot(key, owner)
        if record is None:
            raise ApiError(404, f"template '{key}' not found")
        async with self._sweeping:
            await asyncio.to_thread(self._workshop.registry.delete, record)
            self.snapshots.pop(record.id, None)
        await self.sweep_layers()

    async def sweep_layers(self) -> None:
        """Delete layers that no desktop and no snapshot stands on."""
        async with self._sweeping:
            wanted = layers_of(desktop.record for desktop in self.desktops.values())
            wanted |= layers_of(self.snapshots.values())
            wanted |= self._chains.keep(wanted)
            await asyncio.to_thread(self._workshop.layers.keep_only, wanted)

    async def reap_forever(self) -> None:
        """End or pause desktops whose time is up, side by side. Runs until cancelled."""
        ending: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                await asyncio.sleep(REAP_INTERVAL_S)
                now = time.time()
                ending = {key: task for key, task in ending.items() if not task.done()}
                for key, desktop in self.desktops.items():
                    record = desktop.record
                    alive = record.state == "running" or record.suspended
                    due = alive and record.end_at <= now and not desktop.lock.locked()
                    if due and key not in ending:
                        ending[key] = asyncio.create_task(self._end(desktop))
        finally:
            for task in ending.values():
                task.cancel()
            await asyncio.gather(*ending.values(), return_exceptions=True)

    async def fill_pool_forever(self) -> None:
        """Keep desktops ready for the templates in use. Runs until cancelled."""
        for template in {"base", *(d.record.template for d in self.desktops.values())} & TEMPLATES:
            self._pool.want(template)
        await self._pool.fill_forever()

    async def merge_chains_forever(self) -> None:
        """Shorten long chains of layers. Runs until cancelled."""
        await self._chains.merge_forever(self.sweep_layers)

    async def _end(self, desktop: Desktop) -> None:
        try:
            if desktop.record.auto_pause:
                await desktop.pause(keep_processes=desktop.record.auto_pause_memory)
            else:
                await self._erase(desktop)  # again, when an earlier try was cut short
        except Exception:  # noqa: BLE001 - it is tried again; nobody waits for the error
            _log.exception("could not end desktop %s", desktop.id)

    async def shut_down(self) -> None:
        """End all processes; desktops stay on disk and boot again when next used. Idempotent."""
        for chore in self.chores:
            chore.cancel()
        await asyncio.gather(*self.chores, return_exceptions=True)
        await self._pool.empty()
        await asyncio.gather(*(desktop.shut_down() for desktop in list(self.desktops.values())))


def _fork_of(result: Desktop | BaseException) -> Desktop | Exception:
    if isinstance(result, Desktop | Exception):
        return result
    raise result  # the server is going down
