"""`Desktop`: the facade over one E2B sandbox that nodes, tools, notebooks and people use.

Everything goes through the official, unmodified E2B SDK; which server answers is configuration
(`tools.connection`). Failures of the SDK come out as the tree of `tools.errors`.
"""

import asyncio
import contextlib
import shlex
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from e2b import (
    CommandExitException,
    SandboxMetrics,
    SandboxQuery,
    SandboxState,
    TimeoutException,
)
from e2b.sandbox_async.commands.command_handle import AsyncCommandHandle
from e2b_code_interpreter import AsyncSandbox

from tools.connection import Connection
from tools.desktop_errors import translated
from tools.desktop_files import DesktopFiles
from tools.errors import DesktopGoneError, SentientError
from tools.settings import Settings
from tools.sink import TextStream

Sink = Callable[[str], None]
"""Receives output as it arrives, in pieces of any size."""

OUTPUT_LIMIT = 1 << 20
"""Characters of each stream an `Execution` keeps; the middle of longer output is dropped."""


@dataclass(frozen=True)
class Execution:
    """What a finished command left: exit code, bounded output, whether its time ran out."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether the command ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.timed_out


class Tail:
    """Collects a stream, keeping its beginning and its end within `limit` characters."""

    def __init__(self, limit: int, sink: Sink | None, stream: TextStream) -> None:
        self._half, self._sink, self._stream = limit // 2, sink, stream
        self._head = self._end = ""
        self._dropped = 0

    def __call__(self, text: str) -> None:
        """Take the next piece and pass it on to the sink, without secrets."""
        self._take(self._stream.feed(text))

    def end(self) -> None:
        """Take what waited for more."""
        self._take(self._stream.end())

    def _take(self, text: str) -> None:
        if self._sink is not None and text:
            self._sink(text)
        room = self._half - len(self._head)
        self._head, text = self._head + text[:room], text[room:]
        end = self._end + text
        self._end = end[-self._half :]
        self._dropped += len(end) - len(self._end)

    @property
    def text(self) -> str:
        """The kept text, with one line in place of what was dropped."""
        if not self._dropped:
            return self._head + self._end
        return f"{self._head}\n[... {self._dropped} characters left out ...]\n{self._end}"


class Process:
    """A running command; `wait` collects what it prints until it ends."""

    def __init__(self, handle: AsyncCommandHandle[None], out: Tail, err: Tail) -> None:
        self._handle, self._out, self._err = handle, out, err

    @property
    def pid(self) -> int:
        """Process id inside the desktop."""
        return int(self._handle.pid)

    async def wait(self) -> Execution:
        """Wait for the end. A command whose time ran out has `timed_out` and exit code 124."""
        code, timed_out = 124, False
        try:
            with translated("wait for a command"):
                code = (await self._handle.wait()).exit_code
        except CommandExitException as error:
            code = error.exit_code
        except TimeoutException:
            timed_out = True
        self._out.end()
        self._err.end()
        return Execution(code, self._out.text, self._err.text, timed_out)

    async def kill(self) -> None:
        """End the command at once (SIGKILL)."""
        with translated("kill a command"):
            await self._handle.kill()


class Desktop:
    """A long-lived isolated Linux environment: files, processes, snapshots.

    Use it as an async context manager, or call `close`. An `ephemeral` desktop is killed on
    close, a `persistent` one is left as it is and can be found again with `connect`.
    """

    def __init__(
        self,
        sandbox: AsyncSandbox,
        connection: Connection,
        timeout_s: int,
        lifecycle: str = "persistent",
    ) -> None:
        self._sandbox, self._connection, self._lifecycle = sandbox, connection, lifecycle
        self._timeout_s, self._renewed = timeout_s, time.monotonic()
        self.sink = connection.sink
        self.fs = DesktopFiles(sandbox, self.sink)

    @classmethod
    async def create(
        cls,
        *,
        template: str | None = None,
        lifecycle: Literal["persistent", "ephemeral"] = "persistent",
        metadata: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: int = 3600,
        connection: Connection | None = None,
    ) -> Self:
        """Create a desktop from a template or, given a snapshot id as `template`, a snapshot.

        After `timeout_s` seconds without renewal (`connect`, `reconnect`) the server pauses a
        persistent desktop and kills an ephemeral one. Desktops have no network. When cancelled,
        waits for the desktop and kills it.
        """
        connection = connection or Connection(Settings())
        options = await connection.options()
        making = asyncio.ensure_future(
            AsyncSandbox.create(
                template or connection.template,
                timeout=timeout_s,
                metadata=dict(metadata or {}),
                envs=dict(env or {}),
                allow_internet_access=False,
                lifecycle={"on_timeout": "kill" if lifecycle == "ephemeral" else "pause"},
                **options,
            )
        )
        with translated("create a desktop"):
            try:
                sandbox = await asyncio.shield(making)
            except asyncio.CancelledError:
                with contextlib.suppress(Exception):
                    await (await making).kill()
                raise
        return cls(sandbox, connection, timeout_s, lifecycle)

    @classmethod
    async def connect(
        cls, desktop_id: str, *, timeout_s: int = 3600, connection: Connection | None = None
    ) -> Self:
        """Attach to a desktop by id, resuming it when it is paused.

        Raises:
            DesktopGoneError: the server does not know the id.
            DesktopUnreachableError: the server does not answer.
        """
        connection = connection or Connection(Settings())
        options = await connection.options()
        with translated(f"connect to desktop {desktop_id}"):
            sandbox = await AsyncSandbox.connect(desktop_id, timeout=timeout_s, **options)
        return cls(sandbox, connection, timeout_s)

    @property
    def id(self) -> str:
        """The sandbox id: with it any process can `connect`."""
        return self._sandbox.sandbox_id

    async def reconnect(self) -> None:
        """Attach again after a lost connection; the server may have moved or been restarted."""
        fresh = await type(self).connect(
            self.id, timeout_s=self._timeout_s, connection=self._connection
        )
        self._sandbox, self.fs, self._renewed = fresh._sandbox, fresh.fs, fresh._renewed

    async def start(
        self,
        command: str,
        args: Sequence[str] | str = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60,
        on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Process:
        """Start a shell command and return while it runs.

        A list of `args` is quoted; a string is appended as it is, so that shell syntax works.
        At `timeout_s` the server kills the command with everything it started; 0 means no limit.
        """
        line = f"{command} {args if isinstance(args, str) else shlex.join(args)}".strip()
        out = Tail(OUTPUT_LIMIT, on_stdout, self.sink.stream())
        err = Tail(OUTPUT_LIMIT, on_stderr, self.sink.stream())
        with translated("start a command"):
            handle = await self._sandbox.commands.run(
                line,
                background=True,
                cwd=cwd,
                envs=dict(env or {}),
                timeout=timeout_s,
                on_stdout=out,
                on_stderr=err,
                retain_output=False,
            )
        return Process(handle, out, err)

    async def exec(
        self,
        command: str,
        args: Sequence[str] | str = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60,
        on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Execution:
        """Run a shell command to its end; a non-zero exit code is a result, not an exception."""
        process = await self.start(
            command,
            args,
            cwd=cwd,
            env=env,
            timeout_s=timeout_s,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
        )
        return await process.wait()

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Renew the desktop's time to live for as long as the context lasts."""
        renewal = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal

    async def _renew(self) -> None:
        while True:
            due = self._renewed + self._timeout_s / 3
            await asyncio.sleep(due - time.monotonic())
            self._renewed = time.monotonic()
            with contextlib.suppress(SentientError), translated("keep a desktop alive"):
                await self._sandbox.set_timeout(self._timeout_s)

    async def metrics(self) -> list[SandboxMetrics]:
        """CPU, memory and disk samples, oldest first; empty for a desktop just made."""
        with translated("read metrics"):
            return await self._sandbox.get_metrics()

    async def snapshot(self) -> str:
        """Take an immutable copy of the filesystem and return its id; processes go on running."""
        with translated("take a snapshot"):
            return str((await self._sandbox.create_snapshot(mode="filesystem")).snapshot_id)

    async def pause(self) -> None:
        """Stop the desktop, keeping its files; the next `connect` resumes it."""
        with translated("pause a desktop"):
            await self._sandbox.pause()

    async def kill(self) -> None:
        """End the desktop and delete its files; snapshots of it stay."""
        with translated("kill a desktop"):
            await self._sandbox.kill()

    async def close(self) -> None:
        """Kill an ephemeral desktop; leave a persistent one to be connected to again."""
        if self._lifecycle == "ephemeral":
            await self.kill()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


async def described_desktops(
    connection: Connection, metadata: Mapping[str, str], *, running: bool = False
) -> AsyncIterator[tuple[str, Mapping[str, str]]]:
    """Yield id and all metadata of desktops that carry all of `metadata`; with `running`, of those.

    Without it, paused ones are among them.
    """
    options = await connection.options()
    states = [SandboxState.RUNNING] if running else None
    pages = AsyncSandbox.list(query=SandboxQuery(dict(metadata), states), **options)
    while pages.has_next:
        with translated("list desktops"):
            items = await pages.next_items()
        for item in items:
            yield item.sandbox_id, item.metadata


async def list_desktops(
    connection: Connection, metadata: Mapping[str, str], *, running: bool = False
) -> AsyncIterator[str]:
    """Yield the ids of what `described_desktops` describes."""
    async for desktop_id, _ in described_desktops(connection, metadata, running=running):
        yield desktop_id


async def kill_desktop(connection: Connection, desktop_id: str) -> None:
    """Kill a desktop; one that does not exist is no error."""
    options = await connection.options()
    with contextlib.suppress(DesktopGoneError), translated("kill a desktop"):
        await AsyncSandbox.kill(desktop_id, **options)


async def list_snapshots(connection: Connection, desktop_id: str) -> list[str]:
    """The ids of all snapshots taken of a desktop, newest first, whether it still lives or not."""
    options = await connection.options()
    pages = AsyncSandbox.list_snapshots(sandbox_id=desktop_id, **options)
    found: list[str] = []
    while pages.has_next:
        with translated("list snapshots"):
            found += [item.snapshot_id for item in await pages.next_items()]
    return found


async def delete_snapshot(connection: Connection, snapshot_id: str) -> None:
    """Delete a snapshot; one that does not exist is no error."""
    options = await connection.options()
    with contextlib.suppress(DesktopGoneError), translated("delete a snapshot"):
        await AsyncSandbox.delete_snapshot(snapshot_id, **options)
