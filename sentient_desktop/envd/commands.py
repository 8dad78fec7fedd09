"""Running commands as the host sees them: pipes, subscribers, and an end that is kept for a while.

A command outlives the request that started it. Its output is read only as fast as its slowest
live subscriber takes it, so the pipe, and not this process's memory, holds a flood back. With
nobody subscribed the output is read and dropped, as E2B does, so a command never blocks unheard.
"""

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sentient_desktop.errors import RpcError
from sentient_desktop.sandbox.pipes import until_writable

CHUNK_BYTES = 1 << 16
SUBSCRIBER_LIMIT_BYTES = 1 << 18
"""Output waiting for one subscriber before reading from the command pauses."""

QUIET_S = 0.25
"""How long an exited command's output may stay open and silent (held by a daemon it left)."""

GRACE_S = 3.0
"""How long it is read when it is not silent: far longer than its own last pipeful needs."""

RETAIN_S = 900.0
RETAIN_COUNT = 512
EARLY_LIMIT = 4096
"""How long, and how many, ended commands are remembered for a late Connect."""

OPEN_LIMIT = 256
"""Commands of one desktop that may run at once; each holds up to three descriptors here."""


@dataclass(frozen=True)
class Output:
    """A piece of ``stdout``, ``stderr`` or ``pty``."""

    stream: str
    data: bytes


@dataclass(frozen=True)
class End:
    """How a command ended: its exit code, or minus the signal that killed it."""

    code: int


Event = Output | End


@dataclass
class CommandSpec:
    """What was asked for, echoed by List."""

    cmd: str
    args: list[str] = field(default_factory=list)
    envs: dict[str, str] = field(default_factory=dict)
    cwd: str | None = None
    tag: str | None = None


class Subscription:
    """One reader's bounded queue of events."""

    def __init__(self, on_room: Callable[[], None]) -> None:
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._on_room = on_room

    @property
    def full(self) -> bool:
        """Whether the command should wait for this reader."""
        return self._bytes >= SUBSCRIBER_LIMIT_BYTES

    def put(self, event: Event) -> None:
        """Queue an event."""
        self._events.append(event)
        if isinstance(event, Output):
            self._bytes += len(event.data)
        self._wake.set()

    async def next(self) -> Event:
        """Wait for the next event; safe to cancel."""
        while not self._events:
            self._wake.clear()
            await self._wake.wait()
        event = self._events.popleft()
        if isinstance(event, Output):
            was_full = self.full
            self._bytes -= len(event.data)
            if was_full and not self.full:
                self._on_room()
        return event


class Command:
    """One started process. Made by a CommandTable; lives on the event loop's thread."""

    def __init__(
        self,
        pid: int,
        mark: str,
        spec: CommandSpec,
        streams: dict[str, int],
        let_go: Callable[[Sequence[int]], None],
    ) -> None:
        self.pid = pid
        self.mark = mark
        self.spec = spec
        self.end: End | None = None
        self.ended_at = 0.0
        self.expired = False
        """Whether its deadline passed and it is being killed for that."""
        self.lost = False
        """Whether it ended because all processes of its desktop did."""
        self._deadline: asyncio.TimerHandle | None = None
        self._let_go = let_go
        self._open = dict(streams)
        self._paused = False
        self._exit_code: int | None = None
        self._last_output = time.monotonic()
        self._subscriptions: set[Subscription] = set()
        self._stdin: int | None = None
        self._typing = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        for name in streams:
            self._watch(name)

    def give_stdin(self, fd: int) -> None:
        """Take ownership of the writing end of the command's input."""
        os.set_blocking(fd, False)
        self._stdin = fd

    def at_deadline(self, timeout_s: float, act: Callable[[], None]) -> None:
        """Call ``act`` after ``timeout_s`` unless the command ended before."""
        if self.end is None:
            self._deadline = asyncio.get_running_loop().call_later(timeout_s, act)

    def _watch(self, name: str) -> None:
        fd = self._open[name]
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._on_readable, name, fd)

    def _on_readable(self, name: str, fd: int) -> None:
        try:
            data = os.read(fd, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._last_output = time.monotonic()
        if not data:
            self._close_stream(name)
            return
        for subscription in self._subscriptions:
            subscription.put(Output(name, data))
        if any(subscription.full for subscription in self._subscriptions):
            self._pause()

    def _close_stream(self, name: str) -> None:
        fd = self._open.pop(name)
        asyncio.get_running_loop().remove_reader(fd)
        if fd != self._stdin:
            os.close(fd)
        if not self._open and self._exit_code is not None:
            self._finish()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            for fd in self._open.values():
                asyncio.get_running_loop().remove_reader(fd)

    def _resume(self) -> None:
        if self._paused and not any(s.full for s in self._subscriptions):
            self._paused = False
            self._last_output = time.monotonic()
            for name in self._open:
                self._watch(name)

    def on_exit(self, code: int) -> None:
        """Note the exit; the end is announced once the output written before it was read."""
        self._exit_code = code
        if not self._open:
            self._finish()
        else:
            self._closing = asyncio.create_task(self._finish_when_quiet())

    async def _finish_when_quiet(self) -> None:
        self._last_output = max(self._last_output, time.monotonic())
        read_s = 0.0
        while self.end is None:
            silent_s = 0.0 if self._paused else time.monotonic() - self._last_output
            if silent_s >= QUIET_S or read_s >= GRACE_S:
                self._finish()
            else:
                pause_s = QUIET_S - silent_s
                read_s += 0.0 if self._paused else pause_s
                await asyncio.sleep(pause_s)

    def _finish(self) -> None:
        if self.end is not None:
            return
        self.end = End(self._exit_code if self._exit_code is not None else -9)
        self.ended_at = time.monotonic()
        if self._deadline is not None:
            self._deadline.cancel()
        for subscription in self._subscriptions:
            subscription.put(self.end)
        self._subscriptions.clear()
        if self._stdin is not None and self._stdin not in self._open.values():
            self._release_stdin()
        self._hand_over()

    def _hand_over(self) -> None:
        """Stop reading what a left-behind daemon may still write; an ended terminal is closed."""
        loop, kept = asyncio.get_running_loop(), []
        for fd in self._open.values():
            loop.remove_reader(fd)
            if fd != self._stdin:
                kept.append(fd)
        self._open.clear()
        self._release_stdin()
        if kept:
            self._let_go(kept)

    def abandon(self) -> None:
        """Close everything: the desktop's processes are gone."""
        self.lost = self.lost or self.end is None
        for name in list(self._open):
            self._close_stream(name)
        self._finish()
        self._release_stdin()
        if self._closing:
            self._closing.cancel()

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[Subscription]:
        """Receive events from now on; an ended command delivers its end at once."""
        subscription = Subscription(self._resume)
        if self.end is not None:
            subscription.put(self.end)
        else:
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            self._resume()

    async def type(self, data: bytes) -> None:
        """Write to the command's input, waiting while its pipe is full.

        Raises:
            RpcError: ``failed_precondition`` when it has no input or has closed it.
        """
        async with self._typing:
            while data:
                if self._stdin is None:
                    text = f"process {self.pid} has no open stdin"
                    raise RpcError("failed_precondition", text)
                try:
                    data = data[os.write(self._stdin, data) :]
                except BlockingIOError:
                    # Bounded, because a descriptor closed meanwhile never becomes writable.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1.0):
                            await until_writable(self._stdin)
                except OSError as error:
                    text = f"process {self.pid} closed its stdin"
                    raise RpcError("failed_precondition", text) from error

    def close_stdin(self) -> None:
        """Send end-of-file. Idempotent; a terminal's input cannot be closed separately."""
        if self._stdin not in self._open.values():
            self._release_stdin()

    def _release_stdin(self) -> None:
        if self._stdin is not None:
            fd, self._stdin = self._stdin, None
            asyncio.get_running_loop().remove_writer(fd)
            os.close(fd)


class CommandTable:
    """The commands of one boot of a desktop, running and recently ended."""

    def __init__(self) -> None:
        self._commands: dict[int, Command] = {}
        self._early_exits: dict[int, int] = {}
        self._starting = 0

    def add(self, command: Command) -> None:
        """Register a command whose pid the agent just reported."""
        self._forget_old()
        if previous := self._commands.get(command.pid):
            previous.abandon()  # the pid was reused
        self._commands[command.pid] = command
        if (code := self._early_exits.pop(command.pid, None)) is not None:
            command.on_exit(code)

    def on_exit(self, pid: int, code: int) -> None:
        """Take an exit report: of a command, of an adopted orphan, or ahead of its start."""
        command = self._commands.get(pid)
        if command is not None and command.end is None:
            command.on_exit(code)
        elif self._starting:
            # Orphans' exits arrive here too, any number of them; the newest matter.
            self._early_exits[pid] = code
            if len(self._early_exits) > EARLY_LIMIT:
                del self._early_exits[next(iter(self._early_exits))]

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Take one more command's place while it is being started.

        Raises:
            RpcError: ``resource_exhausted``.
        """
        if len(self.running()) + self._starting >= OPEN_LIMIT:
            text = f"{OPEN_LIMIT} commands are running in this desktop already; end one first"
            raise RpcError("resource_exhausted", text)
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1
            if not self._starting:
                self._early_exits.clear()  # a pid may come back; its old end must not

    def running(self) -> list[Command]:
        """Return the commands that have not ended, oldest first."""
        return [command for command in self._commands.values() if command.end is None]

    def find(self, *, pid: int | None, tag: str | None, ended: bool = False) -> Command:
        """Look a command up by pid or tag; ended ones only if asked for.

        Raises:
            RpcError: ``not_found``.
        """
        for command in reversed(self._commands.values()):
            same = command.pid == pid if tag is None else command.spec.tag == tag
            if same and (ended or command.end is None):
                return command
        what = f"pid {pid}" if tag is None else f"tag {tag}"
        raise RpcError("not_found", f"process with {what} not found")

    def abandon(self) -> None:
        """End everything: the jail is gone."""
        for command in self._commands.values():
            command.abandon()

    def _forget_old(self) -> None:
        ended = [c for c in self._commands.values() if c.end is not None]
        horizon = time.monotonic() - RETAIN_S
        for command in ended[: max(0, len(ended) - RETAIN_COUNT)]:
            self._drop(command)
        for command in ended:
            if command.ended_at < horizon:
                self._drop(command)

    def _drop(self, command: Command) -> None:
        command.abandon()
        self._commands.pop(command.pid, None)


async def follow(subscription: Subscription, keepalive_s: float) -> AsyncIterator[Event | None]:
    """Yield events up to and including the end; None whenever ``keepalive_s`` passed silently."""
    while True:
        try:
            async with asyncio.timeout(keepalive_s):
                event = await subscription.next()
        except TimeoutError:
            yield None
            continue
        yield event
        if isinstance(event, End):
            return
