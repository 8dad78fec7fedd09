"""Runs the engineering graph for the command line: lease, saver, events, signals, clean-up."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import RunControl
from langgraph.types import Command

from checkpoints.lease import is_leased, thread_lease
from checkpoints.ledger import Ledger, Row
from checkpoints.sqlite import open_saver
from graphs.engineering import make_graph
from nodes.desktops import OWNER
from nodes.state import Input, State
from tools.connection import Connection
from tools.desktop import delete_snapshot, kill_desktops
from tools.errors import SentientError, UsageError
from tools.settings import Settings
from tools.source import is_url, refuse_credentials, resolved

Listen = Callable[[dict[str, Any]], None]

UNSTARTED = frozenset({(), ("prepare",), ("planner",), ("__start__",)})
"""Where a failed run holds no work yet: nothing of it is kept."""


@dataclass
class Ending:
    """How a run ended, and the state it left."""

    thread: str
    kind: Literal["finished", "waiting", "running", "stopped"]
    state: State
    question: Any = field(default=None)


class Runs:
    """Threads in one home folder: started, resumed, looked at."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.home / "ledger.db")
        self._leases = settings.home / "leases"

    @asynccontextmanager
    async def _graph(self) -> AsyncIterator[CompiledStateGraph[Any, Any, Any, Any]]:
        async with open_saver(self.settings.home / "checkpoints.db") as saver:
            yield make_graph(saver, self.settings)

    async def start(self, given: Input, thread: str, listen: Listen) -> Ending:
        """Run a new thread to its end, a question, or a signal.

        A run that fails before any work was done leaves nothing behind: no thread, no desktop.

        Raises:
            UsageError: the thread exists already.
        """
        given = _absolute(given)
        source = given.get("source", "")
        with thread_lease(self._leases, thread):
            if self.ledger.thread(thread):
                hint = f"go on with: sentient resume {thread}"
                raise UsageError(f"thread {thread} exists already", hint=hint)
            self.ledger.save_thread(
                thread, source=source, task=given.get("task", ""), status="running"
            )
            self.ledger.save_input(thread, dict(given))
            try:
                return await self._drive(given, thread, listen)
            except SentientError as error:
                if await self._is_unstarted(thread):
                    await self.forget(thread)
                    error.thread = ""
                raise

    async def resume(self, thread: str, listen: Listen, answer: str | None = None) -> Ending:
        """Go on where a thread stopped, crashed or asked.

        Raises:
            UsageError: there is no such thread, or it asks a question and got no answer.
            ThreadBusyError: another process is running it.
        """
        row = self._row(thread)
        with thread_lease(self._leases, thread):
            ending = await self._read(thread)
            if ending.kind == "finished":
                return ending
            if ending.kind == "waiting":
                if answer is None:
                    return ending
                return await self._drive(Command(resume=answer), thread, listen)
            given = None if ending.state else self.ledger.input(str(row["id"]))
            self.ledger.save_thread(thread, status="running")
            return await self._drive(given, thread, listen)

    async def look(self, thread: str) -> Ending:
        """What a thread's newest checkpoint says, and whether a process is running it."""
        self._row(thread)
        busy = is_leased(self._leases, thread)
        ending = await self._read(thread)
        if busy and ending.kind == "stopped":
            ending.kind = "running"
        return ending

    async def _read(self, thread: str) -> Ending:
        async with self._graph() as graph:
            return await _ending(graph, thread)

    def threads(self) -> list[Row]:
        """All threads, the one that changed last first, with the status that is true now."""
        rows = self.ledger.threads()
        for row in rows:
            row.pop("input", None)
            if row["status"] == "running" and not is_leased(self._leases, str(row["id"])):
                row["status"] = "interrupted"
        return rows

    def _row(self, thread: str) -> Row:
        row = self.ledger.thread(thread)
        if row is None:
            raise UsageError(f"there is no thread {thread}", hint="list them: sentient threads")
        return row

    async def _drive(self, given: Any, thread: str, listen: Listen) -> Ending:
        control, config = RunControl(), _config(thread)
        async with self._graph() as graph:
            try:
                with _drain_on_signal(control, listen):
                    async for event in graph.astream(
                        given, config, stream_mode="custom", control=control
                    ):
                        listen(event)
            except GraphDrained:
                self.ledger.save_thread(thread, status="stopped")
                ending = await _ending(graph, thread)
                ending.kind = "stopped"
                return ending
            except SentientError as error:
                self.ledger.save_thread(thread, status="failed", detail=str(error.args[0]))
                error.thread = thread
                raise
            ending = await _ending(graph, thread)
            if ending.kind == "waiting":
                self.ledger.save_thread(thread, status="waiting")
            return ending

    async def _is_unstarted(self, thread: str) -> bool:
        async with self._graph() as graph:
            return (await graph.aget_state(_config(thread))).next in UNSTARTED

    async def forget(self, thread: str) -> None:
        """Remove a thread: its desktops and snapshots, its checkpoints, its lines in the ledger."""
        connection = Connection(self.settings)
        async with open_saver(self.settings.home / "checkpoints.db") as saver:
            snapshots = await _snapshots(make_graph(saver, self.settings), thread)
            with suppress(SentientError):  # without a server there is nothing to remove there
                await kill_desktops(connection, {OWNER: thread})
                for snapshot in snapshots:
                    await delete_snapshot(connection, snapshot)
            await saver.adelete_thread(thread)
        self.ledger.forget_thread(thread)


async def _snapshots(graph: CompiledStateGraph[Any, Any, Any, Any], thread: str) -> set[str]:
    """Every snapshot that a checkpoint of the thread names."""
    found: set[str] = set()
    async for item in graph.aget_state_history(_config(thread)):
        found.add(item.values.get("desktop", {}).get("snapshot", ""))
        found.add(item.values.get("base_snapshot", ""))
    return found - {""}


def _absolute(given: Input) -> Input:
    """A thread may be resumed from any folder, so its source must not depend on this one."""
    source = given.get("source", "")
    if is_url(source):
        refuse_credentials(source)
        return given
    return {**given, "source": str(resolved(source))}


def new_thread_id(source: str) -> str:
    """A readable id that is not taken: the source's last word and six random hex digits."""
    word = "".join(c if c.isalnum() else "-" for c in Path(source.rstrip("/")).stem.lower())
    return f"{word.strip('-')[:24] or 'thread'}-{uuid.uuid4().hex[:6]}"


def _config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


async def _ending(graph: CompiledStateGraph[Any, Any, Any, Any], thread: str) -> Ending:
    snapshot = await graph.aget_state(_config(thread))
    state: State = snapshot.values  # type: ignore[assignment]
    if snapshot.interrupts:
        return Ending(thread, "waiting", state, snapshot.interrupts[0].value)
    finished = bool(state) and not snapshot.next
    return Ending(thread, "finished" if finished else "stopped", state)


@contextmanager
def _drain_on_signal(control: RunControl, listen: Listen) -> Iterator[None]:
    """Ctrl-C or SIGTERM: finish this step and save; once more: stop at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        if control.drain_requested and task is not None:
            task.cancel()
        control.request_drain("signal")
        listen({"node": "", "event": "draining"})

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
