"""One desktop: its durable record, its disk, and, while it is awake, its jail and commands.

State is told apart from liveness. ``record.state`` says what the client asked for (running or
paused); the jail says whether processes exist. A running desktop without a jail, after a crash of
the server for example, is booted again from its disk on the next use.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sentient_desktop.envd.commands import CommandTable
from sentient_desktop.errors import AgentError, ApiError, BootError, DesktopError, DiskError
from sentient_desktop.limits.cgroup import Cgroups
from sentient_desktop.limits.disk import require_room, require_space
from sentient_desktop.network.gate import Border, Gate
from sentient_desktop.network.policy import PROXY_PORT, Policy
from sentient_desktop.sandbox.boot import RunningJail, Spawner
from sentient_desktop.sandbox.factory import JailFactory
from sentient_desktop.sandbox.freeze import freeze, thaw, walk_tree
from sentient_desktop.settings import Limits
from sentient_desktop.state import read_start_time
from sentient_desktop.store.capture import Captures, Draft
from sentient_desktop.store.layers import LayerStore
from sentient_desktop.store.mapped import find_mapped
from sentient_desktop.store.records import DesktopRecord, new_record
from sentient_desktop.store.registry import Registry
from sentient_desktop.store.trees import remove_tree
from sentient_desktop.templates.shelf import Shelf
from sentient_desktop.whole import whole

_log = logging.getLogger(__name__)


Work = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True)
class Workshop:
    """What every desktop of a server shares."""

    registry: Registry
    layers: LayerStore
    spawner: Spawner
    factory: JailFactory
    limits: Limits
    means: Cgroups
    border: Border
    shelf: Shelf
    overlay: bool
    """Whether disks are overlays or plain folders; fixed for the life of a data folder."""
    uids: range | None
    """Host uids desktops get one each of, when the server is root."""


class Desktop:
    """A desktop of this server. Lifecycle calls are serialised by ``lock``, which they take."""

    def __init__(self, record: DesktopRecord, home: Path, workshop: Workshop) -> None:
        self.record = record
        self.home = home
        self.lock = asyncio.Lock()
        self.jail: RunningJail | None = None
        self.commands = CommandTable()
        self.deleted = self._erased = False
        self.gate = Gate(record.id, workshop.border)
        self.visitors = 0
        """Connections from outside to the desktop's ports that are open now."""
        self.callers = 0
        """Requests to it that are being answered now."""
        self.used_at = time.monotonic()
        """When the last of them ended."""
        self.disk_used = 0
        """Bytes on its own disk when the watchdog last looked."""
        self.captures = Captures(workshop.layers, overlay=workshop.overlay)
        self._workshop = workshop
        self._frozen: list[int] = []
        self._background: set[asyncio.Task[None]] = set()
        self._postponed: list[tuple[Work, Callable[[], None]]] = []

    @property
    def id(self) -> str:
        """The sandbox id on the wire."""
        return self.record.id

    @property
    def disk(self) -> Path:
        """The folder that holds everything the desktop wrote since its last snapshot's layers."""
        return self.home / ("upper" if self._workshop.overlay else "root")

    @property
    def in_use(self) -> bool:
        """Whether somebody outside is connected to it at the moment."""
        return self.callers + self.visitors > 0

    @property
    def limits(self) -> Limits:
        """What it may use."""
        return self._workshop.limits

    def require_room(self) -> None:
        """Demand that more may be written here.

        Raises:
            ApiError: 507 when its disk or the server's is full.
        """
        require_space(self.home, self.limits.free_bytes)
        require_room(self.id, self.disk_used, self.limits.disk_bytes)

    @property
    def policy(self) -> Policy:
        """Where the desktop may go."""
        return Policy.of(self.record.internet, self.record.network)

    async def ensure_booted(self) -> RunningJail:
        """Return the jail of a running desktop, booting it from its disk if it has none.

        Raises:
            ApiError: 502 with the phrase SDKs look for, when it is paused, gone or cannot boot.
        """
        jail = self.jail
        if jail is not None and jail.alive and self.record.state == "running":
            return jail
        async with self.lock:
            if self.deleted or self.record.state != "running":
                raise gone(self.id)
            try:
                return await self._boot()
            except BootError as error:
                raise ApiError(502, f"port is not open: {error}") from error

    async def _boot(self) -> RunningJail:
        if self.jail is not None:
            if self.jail.alive:
                await self.gate.apply(self.jail, self.policy, self.record.uid)
                return self.jail
            await self._stop()
        workshop, record = self._workshop, self.record
        packages = await workshop.shelf.ensure(record.software)
        commands = CommandTable()
        self.jail = await workshop.spawner.boot(
            workshop.factory.make(
                self.home, record.layers, overlay=workshop.overlay, packages=packages
            ),
            uid=record.uid,
            log=self.home / "boot.log",
            on_exit=commands.on_exit,
            on_spawn=self._note_spawn,
            groups=await asyncio.to_thread(self._enclose),
        )
        self.commands = commands
        self.keep(_abandon_after(self.jail, commands))
        record.monitor_pid, record.init_pid = self.jail.monitor_pid, self.jail.init_pid
        record.monitor_start = read_start_time(record.monitor_pid) or 0
        record.init_start = read_start_time(record.init_pid) or 0
        await asyncio.to_thread(workshop.registry.save, record, durable=False)
        await self.gate.apply(self.jail, self.policy, self.record.uid)
        return self.jail

    def _enclose(self) -> list[str]:
        try:
            return self._workshop.means.enclose(self.id)
        except OSError as error:
            raise BootError(f"the desktop's limits could not be set: {error}") from error

    async def _note_spawn(self, monitor_pid: int) -> None:
        """Register a jail that is still booting: a crash now leaves its end to the sweep."""
        record = self.record
        record.monitor_pid, record.monitor_start = monitor_pid, read_start_time(monitor_pid) or 0
        record.init_pid = record.init_start = 0
        await asyncio.to_thread(self._workshop.registry.save, record, durable=False)

    async def start(self, prepare: Callable[[], None]) -> None:
        """Make the files of a new desktop, in a thread, and boot it.

        Under the lock, because a list shows the desktop already: who kills it or asks something of
        it meanwhile waits until it is whole.
        """
        async with self.lock:
            self._require_present()
            await whole(asyncio.to_thread(prepare))
            await self._boot()

    async def claim(self, *, timeout_s: int, **choices: Any) -> None:
        """Become somebody's: a desktop of the pool starts its life with ``choices`` now."""
        async with self.lock:
            mine = new_record(self.record.template, timeout_s=timeout_s, **choices)
            for name in ("token", "started_at", "end_at", "timeout_s", "state", *choices):
                setattr(self.record, name, getattr(mine, name))
            self.used_at = time.monotonic()
            await asyncio.to_thread(self._workshop.registry.save, self.record)
            await self._boot()  # alive already, but for an accident

    async def pause(self, *, keep_processes: bool, suspended: bool = False) -> None:
        """Freeze in memory, or end all processes and keep the disk only.

        ``suspended`` is for idleness: not done to a desktop that is in use, and undone by use.

        Raises:
            ApiError: 404 when it is gone, 409 when it is paused already.
        """
        async with self.lock:
            self._require_present()
            if self.record.state == "paused" and not self.record.suspended:
                raise ApiError(409, f"sandbox {self.id} is already paused")
            if suspended and self.in_use:
                return
            await whole(self._pause(keep_processes=keep_processes, suspended=suspended))

    async def _pause(self, *, keep_processes: bool, suspended: bool) -> None:
        if not keep_processes or self.jail is None or not self.jail.alive:
            await self._stop()
        elif not self.record.suspended:
            self._frozen = await self._freeze(self.jail)
        self.record.state, self.record.suspended = "paused", suspended
        await asyncio.to_thread(self._workshop.registry.save, self.record)

    async def resume(self, timeout_s: int, *, keep_processes: bool = True) -> bool:
        """Make sure the desktop runs for ``timeout_s`` more; return whether it was paused.

        The end of a running or suspended desktop only ever moves later. Without
        ``keep_processes`` a paused one is booted from its disk.

        Raises:
            ApiError: 404 when it is gone.
        """
        async with self.lock:
            self._require_present()
            was_paused = self.record.state == "paused"
            end = time.time() + timeout_s
            later = not was_paused or self.record.suspended
            self.record.end_at = max(self.record.end_at, end) if later else end
            if was_paused:
                if not keep_processes:
                    await self._stop()
                self._thaw(self._frozen)
                self._frozen = []
                self.record.state, self.record.suspended = "running", False
            self.used_at = time.monotonic()
            self.record.timeout_s = timeout_s or self.record.timeout_s
            await asyncio.to_thread(self._workshop.registry.save, self.record)
            await self._boot()
            postponed, self._postponed = self._postponed, []
            for make, _ in postponed:
                self.keep(make())
            return was_paused

    async def set_timeout(self, timeout_s: int) -> None:
        """Let the desktop end ``timeout_s`` from now, sooner or later than before."""
        async with self.lock:
            self._require_present()
            self.record.timeout_s = timeout_s
            self.record.end_at = time.time() + timeout_s
            await asyncio.to_thread(self._workshop.registry.save, self.record)

    async def set_network(self, rules: dict[str, Any], *, internet: bool) -> None:
        """Replace where the desktop may go, at once; who may reach its ports stays as it is.

        Raises:
            ApiError: 404 when it is gone, 409 when a program inside took the way out's port.
        """
        async with self.lock:
            self._require_present()
            record = self.record
            kept = {k: v for k, v in record.network.items() if k not in ("allowOut", "denyOut")}
            record.network, record.internet = kept | rules, internet
            await asyncio.to_thread(self._workshop.registry.save, record)
            if record.state != "running" or self.jail is None or not self.jail.alive:
                self.gate.shut()  # the next resume or boot applies it
                return
            try:
                await self.gate.apply(self.jail, self.policy, self.record.uid)
            except AgentError as error:
                text = f"port {PROXY_PORT} inside the sandbox could not be taken: {error}"
                raise ApiError(409, text) from error

    async def capture(self, name: str, hold: Callable[[], Awaitable[None]]) -> list[str]:
        """Copy the disk as it stands at one instant to a new layer; processes go on afterwards.

        Returns the chain of layers that is this disk, the new one on top. ``hold`` has to keep it,
        and what the capture stands on, from sweeps; nothing changes that while it is called.

        Raises:
            ApiError: 404 when it is gone.
            FreezeError: its processes could not be stopped for the copy.
        """
        async with self.lock:
            self._require_present()
            await hold()
            return await whole(self._capture(name))

    async def _capture(self, name: str) -> list[str]:
        awake = self.jail is not None and self.jail.alive and self.record.state == "running"
        stopped: list[int] = []
        if awake and self.jail is not None:
            stopped = await self._freeze(self.jail)
        try:
            draft = await asyncio.to_thread(self._copy, name)
        finally:
            if awake:
                self._thaw(stopped)
        await asyncio.to_thread(self.captures.finish, draft)
        return draft.chain

    def _copy(self, name: str) -> Draft:
        jail = self.jail
        pids = walk_tree(jail.init_pid) if jail is not None and jail.alive else {}
        mapped = partial(find_mapped, pids, self.disk)
        return self.captures.copy(self.disk, name, self.record.layers, mapped)

    async def delete(self) -> None:
        """End all processes and remove the disk and the row. Idempotent.

        Files that resist stay without a row, which is what the sweep of the next start looks for.
        """
        async with self.lock:
            if self._erased:
                return
            self.deleted = True  # whoever asks from now on is told so, followers of commands first
            await self._stop()
            try:
                await asyncio.to_thread(remove_tree, self.home)
            except DiskError:
                _log.exception("the files of desktop %s wait for the next start", self.id)
            await asyncio.to_thread(self._workshop.registry.delete, self.record)
            self._erased = True

    async def shut_down(self) -> None:
        """End all processes but keep the desktop: the server is about to exit."""
        async with self.lock:
            await self._stop()

    def keep(self, work: Coroutine[None, None, None]) -> None:
        """Run something to its end that no request waits for; its failure is the desktop's."""
        task = asyncio.create_task(_quietly(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def when_awake(self, make: Work, otherwise: Callable[[], None] = lambda: None) -> None:
        """Keep some work on the processes; while the desktop is paused, not before it resumes.

        ``otherwise`` is called instead when the processes end before that.
        """
        if self.record.state == "running":
            self.keep(make())
        else:
            self._postponed.append((make, otherwise))

    async def _stop(self) -> None:
        if self.jail is not None:
            self.gate.shut()
            self._thaw([])  # a frozen bubblewrap could not bury its dead
            await self.jail.stop()
            self.commands.abandon()
            self.jail = None
        await asyncio.to_thread(self._workshop.means.release, self.id)
        self._frozen = []
        postponed, self._postponed = self._postponed, []
        for _, otherwise in postponed:
            otherwise()

    async def _freeze(self, jail: RunningJail) -> list[int]:
        """Stop all processes by the best means; return those that _thaw() must wake one by one."""
        if self._workshop.means.can_freeze:
            await asyncio.to_thread(self._workshop.means.freeze, self.id)
            return []
        return await asyncio.to_thread(freeze, jail.init_pid)

    def _thaw(self, stopped: list[int]) -> None:
        if self._workshop.means.can_freeze:
            self._workshop.means.thaw(self.id)
        thaw(stopped)

    def _require_present(self) -> None:
        if self.deleted:
            raise ApiError(404, f"sandbox {self.id} was not found")


async def _abandon_after(jail: RunningJail, commands: CommandTable) -> None:
    """Tell whoever follows a command that it ended with all the others, whatever ended them."""
    await jail.ended.wait()
    commands.abandon()


async def _quietly(work: Coroutine[None, None, None]) -> None:
    with contextlib.suppress(DesktopError):  # the desktop ended first
        await work


def gone(desktop_id: str) -> ApiError:
    """Return the 502 the SDKs read as "not running": the phrase is part of the protocol."""
    return ApiError(502, f"The sandbox was not found ({desktop_id})")
