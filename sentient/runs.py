"""Runs the engineering graph for the command line: threads started, resumed, looked at."""

import asyncio
import json
import sqlite3
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command

from checkpoints.lease import is_leased, thread_lease
from checkpoints.ledger import Ledger
from checkpoints.ledger_file import Row
from nodes.events import Accepted
from nodes.state import Input
from sentient.answers import read_answer
from sentient.cleanup.forgetting import forget
from sentient.cleanup.housekeeping import swept_meanwhile
from sentient.draining import Listen
from sentient.endings import Ending, read_ending
from sentient.opening import config_of, open_graph
from tools.errors import SentientError, StorageError, UsageError
from tools.secrets import environment_of
from tools.settings import Settings
from tools.sink import Sink
from tools.source import is_url, refuse_credentials, resolved

UNSTARTED = frozenset({(), ("prepare",), ("planner",), ("__start__",)})
"""Where a failed run holds no work yet: nothing of it is kept."""


class Runs:
    """Threads in one home folder: started, resumed, looked at."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.home / "ledger.db")
        self.leases = settings.home / "leases"

    async def start(
        self, given: Input, thread: str, listen: Listen, control: RunControl | None = None
    ) -> Ending:
        """Run a new thread to its end, to a question, or until `control` is asked to drain.

        A run that fails before any work was done leaves nothing behind: no thread, no desktop.

        Raises:
            UsageError: the thread exists already, or the input holds a secret.
        """
        Sink.of(self.settings).refuse(given)
        given = _absolute(given)
        source = given.get("source", "")
        if thread in self.ledger.half_forgotten():  # its old checkpoints must not come back
            await forget(self.settings, self.ledger, thread)  # which gives the lease back
        with thread_lease(self.leases, thread):
            known = (await self._read(thread)).state  # before anything is written anywhere
            if known or self.ledger.thread(thread):
                hint = f"go on with: sentient resume {thread}"
                raise UsageError(f"thread {thread} exists already", hint=hint)
            # in one transaction: from here on the thread can be resumed
            self.ledger.save_thread(
                thread,
                source=source,
                task=given.get("task", ""),
                status="running",
                input=json.dumps(given),
            )
            listen(_accepted(thread))
            try:
                return await self._drive(given, thread, listen, control)
            except StorageError:
                raise  # nothing is removed on the word of a database that fails
            except SentientError as error:
                if await self._is_unstarted(thread):
                    await forget(self.settings, self.ledger, thread)
                    error.thread = ""
                raise

    async def resume(
        self,
        thread: str,
        listen: Listen,
        answer: str | None = None,
        control: RunControl | None = None,
    ) -> Ending:
        """Go on where a thread stopped, crashed or asked; without an answer it goes on asking.

        Raises:
            UsageError: there is no such thread, it asks nothing, or not what `answer` answers; its
                secrets were not given again.
            ThreadBusyError: another process is running it.
        """
        row = self.row(thread)
        with thread_lease(self.leases, thread):
            ending = await self._read(thread)
            if answer is not None and ending.kind != "waiting":
                hint = f"see: sentient show {thread}"
                raise UsageError(f"thread {thread} asks no question now", hint=hint)
            if ending.kind == "finished" or (ending.kind == "waiting" and answer is None):
                return self._written_down(thread, ending)  # a rewind that died said otherwise
            environment_of(ending.state.get("secrets", []), self.settings.secrets)
            Sink.of(self.settings).refuse(answer)
            given: Any = None if ending.state else self.ledger.input(str(row["id"]))
            if answer is not None:
                given = Command(resume=read_answer(ending.question, answer))
            self.ledger.save_thread(thread, status="running", detail="")
            listen(_accepted(thread))
            return await self._drive(given, thread, listen, control)

    async def look(self, thread: str) -> Ending:
        """What a thread's newest checkpoint says, and whether a process is running it."""
        self.row(thread)
        busy = is_leased(self.leases, thread)
        ending = await self._read(thread)
        if busy and ending.kind == "stopped":
            ending.kind = "running"
        return ending

    async def _read(self, thread: str) -> Ending:
        async with open_graph(self.settings) as graph:
            return await read_ending(graph, thread)

    def row(self, thread: str) -> Row:
        """A thread's line in the ledger.

        Raises:
            UsageError: there is no such thread.
        """
        row = self.ledger.thread(thread)
        if row is None:
            raise UsageError(f"there is no thread {thread}", hint="list them: sentient threads")
        return row

    async def _drive(
        self, given: Any, thread: str, listen: Listen, control: RunControl | None
    ) -> Ending:
        sweep = swept_meanwhile(self.settings, self.ledger)
        async with open_graph(self.settings) as graph, sweep:
            try:
                async for event in graph.astream(
                    given, config_of(thread), stream_mode="custom", control=control
                ):
                    listen(event)
            except asyncio.CancelledError:
                self.ledger.save_thread(thread, status="stopped")
                raise
            except GraphDrained:
                self.ledger.save_thread(thread, status="stopped")
                ending = await read_ending(graph, thread)
                ending.kind = "stopped"
                return ending
            except SentientError as error:
                error.thread = thread
                with suppress(sqlite3.Error):  # it is said already that a database fails
                    self.ledger.save_thread(thread, status="failed", detail=str(error.args[0]))
                raise
            return self._written_down(thread, await read_ending(graph, thread))

    def _written_down(self, thread: str, ending: Ending) -> Ending:
        """The ending, with the ledger saying the same of its thread.

        The node that ended it may have said so before this resume began: killed after its writes
        were saved and before their checkpoint was, it does not run again.
        """
        if ending.kind == "finished":
            report = ending.state["report"]
            self.ledger.save_thread(thread, status=report["status"], detail=report["summary"])
        elif ending.kind == "waiting":
            self.ledger.save_thread(thread, status="waiting", detail=ending.question["kind"])
        return ending

    async def _is_unstarted(self, thread: str) -> bool:
        async with open_graph(self.settings) as graph:
            tasks = (await graph.aget_state(config_of(thread))).tasks
            return tuple(task.name for task in tasks) in UNSTARTED


def _accepted(thread: str) -> dict[str, Any]:
    """The event that says: from here on this thread can be resumed, whatever happens."""
    return Accepted(thread=thread, at=round(time.time(), 3)).model_dump()


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
