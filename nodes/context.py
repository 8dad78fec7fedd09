"""The context in which nodes run: services of the process, and one `Step` per execution."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, Self, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.errors import GraphInterrupt

from checkpoints.binding import KEPT, Binding, DesktopRef
from checkpoints.lease import Lease, held_lease
from checkpoints.ledger import Ledger
from nodes.desktops import ThreadDesktops
from nodes.events import Event, Failed, Finished, Question, Restored, Started
from nodes.model.meter import Meter
from nodes.queueing import in_queue
from nodes.spending import paid
from nodes.state import State
from tools.desktop import Desktop
from tools.journal import Journal, OutcomeUnknownError, digest_of
from tools.secrets import environment_of
from tools.settings import Settings
from tools.sink import Sink

Update = dict[str, Any]

LENT_SAVER = "__pregel_checkpointer"
"""Where LangGraph, a parent graph or the Agent Server puts the saver that a run uses."""

T = TypeVar("T")


@dataclass(frozen=True)
class Services:
    """What a process provides to all of its runs."""

    settings: Settings
    desktops: ThreadDesktops
    ledger: Ledger
    model_for: Callable[[str], BaseChatModel | None]
    """Makes the model of a name; None stands for the offline engine."""
    sink: Sink
    plain_models: set[str] = field(default_factory=set)
    """Models whose endpoint does not stream as it is asked to."""
    forms: dict[str, str] = field(default_factory=dict)
    """By the name of a model: the form of request that its endpoint was found to take."""


class Step:
    """One execution of one node: the services, its desktop, and where its events go."""

    def __init__(self, services: Services, state: State, thread: str, node: str) -> None:
        self.services, self.thread, self.node = services, thread, node
        self.meter = Meter(state, node)
        """What this step's calls of a model consume."""
        self._model_name = state.get("model") or services.settings.model_name
        self._write = get_stream_writer()
        self._exits = AsyncExitStack()
        self.is_saved = True
        """Whether checkpoints are kept; a run without them can never be taken up again."""
        self.candidate = state.get("candidate", 0)
        """Which of several candidates this step works on; 0 where there is one line of work."""
        self._attempt, self._changed = state.get("attempt", 0), state.get("changed")
        self._secrets = state.get("secrets", [])
        self._desktop: Desktop | None = None
        self._released: DesktopRef | None = None
        self._lease = held_lease(services.settings.leases, thread) or Lease.alone(thread)
        line = str(self.candidate) if self.candidate else ""
        self._desktops = services.desktops.of_line(line)
        self._binding: Binding[Desktop] = Binding(
            self._desktops, self._lease, state.get("desktop"), self._restored, line
        )

    @property
    def settings(self) -> Settings:
        """The process's settings."""
        return self.services.settings

    @property
    def sink(self) -> Sink:
        """What must hold no secret passes it."""
        return self.services.sink

    @property
    def model_name(self) -> str:
        """The model this thread was started with; `none` stands for the offline engine."""
        return self._model_name

    async def model(self) -> BaseChatModel | None:
        """The thread's model, None for the offline engine."""
        return await asyncio.to_thread(self.services.model_for, self._model_name)

    def secrets(self) -> dict[str, str]:
        """What a command needs in its environment to have the thread's secrets.

        Raises:
            UsageError: this process was not given them.
        """
        return environment_of(self._secrets, self.settings.secrets)

    async def desktop(self) -> Desktop:
        """The thread's desktop, with exactly the files of the checkpoint this node starts from."""
        if self._desktop is None:
            return await self._use(await self._queued(partial(self._binding.open, self.node)))
        return self._desktop

    async def first_desktop(self, template: str) -> Desktop:
        """The thread's desktop where no checkpoint names one yet, made from a snapshot if given."""
        self._binding.template = template
        return await self.desktop()

    async def once(self, work: object, do: Callable[[Journal], Awaitable[T]]) -> T:
        """Let `do` carry out this node's work in the desktop, through a journal, and return.

        `work` is plain data that says all there is to do. What of it was done by a process that
        died is not done again; where the journal cannot tell, the files are those of the
        checkpoint again, and all of it is done anew.
        """
        name = f"{self.node}-{digest_of(work)}"
        opening = partial(self._binding.open, name, journal=True)
        desktop = await self._use(await self._queued(opening))
        try:
            return await do(self._journal(desktop))
        except OutcomeUnknownError as error:
            restarting = partial(self._binding.restart, str(error))
            desktop = await self._use(await self._queued(restarting))
            return await do(self._journal(desktop))

    async def _queued(self, do: Callable[[], Awaitable[T]]) -> T:
        patience_s = min(self.settings.desktop_patience_s, self.meter.seconds_left())
        return await in_queue(do, self.emit, patience_s)

    def _journal(self, desktop: Desktop) -> Journal:
        binding = self._binding
        env = self.secrets()
        return Journal(desktop, binding.mark, binding.confirm, adopted=binding.adopted, env=env)

    async def _use(self, desktop: Desktop) -> Desktop:
        if self._desktop is not desktop:
            self._desktop = desktop
            await self._exits.aclose()
            await self._exits.enter_async_context(desktop.kept_alive())
        return desktop

    @asynccontextmanager
    async def pristine(self, snapshot: str) -> AsyncIterator[Desktop]:
        """A second desktop with the files of a snapshot, for a verdict."""
        async with self.short_lived("verdict", snapshot) as desktop:
            yield desktop

    @asynccontextmanager
    async def short_lived(self, role: str, snapshot: str = "") -> AsyncIterator[Desktop]:
        """A desktop beside the thread's, from a snapshot or the template; killed afterwards."""
        create = partial(self._desktops.create_beside, self.thread, snapshot, role)
        desktop = await self._queued(create)
        async with desktop, desktop.kept_alive():
            yield desktop
        await self.services.desktops.ended(desktop, "its work ended")

    async def release(self) -> None:
        """Take the snapshot of this node's files now and end its desktop, which gives way.

        The node must not touch its files any more; the next one has them from the snapshot.
        """
        if ref := await self._binding.seal():
            self._released = {**ref, "ended": True}
            await self._exits.aclose()
            self._binding.kept[KEPT] = None
            await self._desktops.kill_working(self.thread, "gave way to its verdict's")

    async def snapshot(self, desktop: Desktop) -> str:
        """Take a snapshot that is neither the last word of this node nor lost sight of."""
        taken = await desktop.snapshot()
        await self._record_snapshot(taken, desktop.id, self._changed)
        return taken

    async def _record_snapshot(self, snapshot: str, desktop: str, changed: Any) -> None:
        await self.record(self.services.ledger.ensure_thread, self.thread)
        await self.record(
            self.services.ledger.inventory.save_snapshot,
            snapshot,
            server=self.services.desktops.server,
            thread=self.thread,
            desktop=desktop,
            node=self.node,
            attempt=self._attempt,
            changed=changed,
        )

    def emit(self, event: Event) -> None:
        """Send an event to whoever streams the run (stream mode `custom`)."""
        told = {"node": self.node, "candidate": self.candidate, "at": round(time.time(), 3)}
        self._write(self.sink.data(event.model_copy(update=told).model_dump()))

    async def record(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the ledger off the event loop; plain data passes the sink."""
        args, kwargs = self.sink.data((args, kwargs))
        return await asyncio.to_thread(function, *args, **kwargs)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        await self._exits.aclose()
        if kind is not None:
            self._tell_end(error)
            await self._let_go(waiting=issubclass(kind, GraphInterrupt))

    def _tell_end(self, error: BaseException | None) -> None:
        if isinstance(error, GraphInterrupt):
            for asked in error.args[0]:
                self.emit(Question(kind=asked.value["kind"], question=asked.value["question"]))
        elif isinstance(error, Exception):
            self.emit(Failed(error=str(error) or type(error).__name__))

    async def _let_go(self, *, waiting: bool) -> None:
        """The next node asks for the desktop anew; while a person is asked it is paused."""
        kept = self._binding.kept
        desktop: Desktop | None = kept.get(KEPT)
        if desktop is not None:
            kept[KEPT] = None
            if waiting:
                await self.services.desktops.rest(desktop)

    def _restored(self, reason: str) -> None:
        self.emit(Restored(reason=reason))

    async def close(self, update: Update) -> Update:
        """Add to a node's update which snapshot its files are in, when it touched any."""
        ref = self._released or await self._binding.seal()
        if ref is None:
            return update
        self._attempt = update.get("attempt", self._attempt)
        await self._record_snapshot(
            ref["snapshot"], ref["id"], update.get("changed", self._changed)
        )
        return {**update, "desktop": ref}


Role = Callable[[State, Step], Awaitable[Update]]


class Node(Protocol):
    """A role as the graph calls it."""

    def __call__(self, state: State, config: RunnableConfig) -> Awaitable[Update]:
        """Run the role once, from this state."""
        ...


def node(services: Services, role: Role) -> Node:
    """Make a graph node of a role: open a step, run the role, bind the desktop to the update."""

    async def run(state: State, config: RunnableConfig) -> Update:
        configurable = config.get("configurable", {})
        owner = str(configurable.get("thread_id") or state.get("owner") or uuid.uuid4())
        begun = time.monotonic()
        with services.sink.errors():
            state = paid(state, owner, await asyncio.to_thread(services.ledger.calls, owner))
            step = Step(services, state, owner, role.__name__)
            step.is_saved = configurable.get(LENT_SAVER) is not None
            step.emit(Started(attempt=state.get("attempt", 0)))
            async with step:
                step.secrets()  # without them nothing begins
                update = await step.close(await role(state, step))
        seconds = round(time.monotonic() - begun, 3)
        step.emit(Finished(seconds=seconds))
        worked = round(seconds + update.get("worked", 0.0), 3)
        return services.sink.data(
            {**update, **step.meter.update(), "owner": owner, "worked": worked}
        )

    return run
