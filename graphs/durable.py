"""`DurableGraph`: a compiled graph that keeps one run a thread, and saves before it goes on."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateUpdate

from checkpoints.lease import holding, lease_for_run, thread_lease
from graphs.faults import storage_errors
from graphs.pump import pumped
from nodes.context import LENT_SAVER
from tools.errors import UsageError
from tools.sink import Sink

DURABILITY = "__pregel_durability"
"""Where LangGraph looks for the durability of a run that is given none; subgraphs inherit it."""


class DurableGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """Holds the thread's lease for every run and every update, whoever asks for it.

    LangGraph's other asynchronous entries (`ainvoke`, `abatch`, `astream_events`) end in
    `astream`; copies, which the Agent Server makes for each run, are of this class too.
    """

    def __init__(self, *, leases: Path, sink: Sink, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.leases, self.sink = leases, sink

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> AsyncIterator[Any]:
        """Run as LangGraph does, with durability `sync` and the thread's lease.

        The run does not wait for its reader (`graphs.pump`). The lease is given back when the run
        ends or fails, and when the stream is cancelled or closed, which ends the run.

        Raises:
            ThreadBusyError: the thread is being run.
            UsageError: durability `exit` is asked for, another task for a thread that has one, or
                the input holds a secret.
            StorageError: the saver's database or the ledger fails; the run can be resumed.
        """
        config = self._synchronous(config, options)
        self.sink.refuse([input.resume, input.update] if isinstance(input, Command) else input)
        run = cast("AsyncGenerator[Any, None]", super().astream(input, config, **options))
        if config["configurable"].get("thread_id") is not None:
            run = self._leased(run, input, config)
        # else LangGraph refuses it, as there is a saver
        async with aclosing(pumped(run)) as items:
            async for item in items:
                yield item

    async def _leased(
        self, run: AsyncGenerator[Any, None], input: Any, config: RunnableConfig
    ) -> AsyncGenerator[Any, None]:
        """The run with the thread's lease; it is to be read in a task of its own.

        Only this task holds the lease then: the context of whoever reads does not.
        """
        thread = str(config["configurable"]["thread_id"])
        with storage_errors():
            async with lease_for_run(self.leases, thread) as lease, aclosing(run):
                await self._refuse_second_task(input, config)
                with holding(lease):
                    async for item in run:
                        yield item

    async def _refuse_second_task(self, input: Any, config: RunnableConfig) -> None:
        """Raise before anything is saved: what one task left must not be taken for another's.

        An Agent Server that was ended in a run sends the input again, in a run of the same id:
        LangGraph goes on with that one.
        """
        if not isinstance(input, Mapping) or not self._saver(config):
            return
        state = await self.aget_state(config)
        run = config.get("metadata", {}).get("run_id") or config["configurable"].get("run_id")
        is_same = run is not None and run == (state.metadata or {}).get("run_id")
        if state.values.get("base") and not is_same:
            raise UsageError(
                f"thread {config['configurable']['thread_id']} has a task already",
                hint="resume it without input, or start another thread",
            )

    def stream(self, *_: Any, **__: Any) -> Iterator[Any]:
        """Refuse: the nodes are asynchronous."""
        raise UsageError("this graph runs asynchronously", hint="use ainvoke or astream")

    async def abulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """Update as LangGraph does, holding the thread's lease; `aupdate_state` ends here.

        Raises:
            ThreadBusyError: the thread is being run.
        """
        with storage_errors():
            async with lease_for_run(self.leases, self._thread(config)):
                return await super().abulk_update_state(config, supersteps)

    def bulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """The same for savers that block; `update_state` ends here."""
        with (
            storage_errors(),
            thread_lease(self.leases, self._thread(config)) as lease,
            lease.in_use(),
        ):
            return super().bulk_update_state(config, supersteps)

    def _thread(self, config: RunnableConfig) -> str:
        return str(self._merged(config)["configurable"].get("thread_id"))

    def _merged(self, config: RunnableConfig | None) -> RunnableConfig:
        """The configuration as the run will see it: the graph's, the caller's, a parent's."""
        return ensure_config(merge_configs(self.config, config))

    def _saver(self, config: RunnableConfig) -> Any:
        """What keeps the checkpoints of a run with this configuration, if anything does."""
        return config["configurable"].get(LENT_SAVER, self.checkpointer)

    def _synchronous(
        self, config: RunnableConfig | None, options: dict[str, Any]
    ) -> RunnableConfig:
        """Take durability out of the options; in its place is `sync` wherever there is a saver."""
        merged = self._merged(config)
        wanted = {options.pop("durability", None), merged["configurable"].get(DURABILITY)}
        if "exit" in wanted or options.pop("checkpoint_during", None) is False:
            raise UsageError("durability 'exit' loses work on a crash; use 'sync'")
        saver = self._saver(merged)
        durability = "sync" if saver else "async"  # LangGraph fails at `sync` without a saver
        chosen = {**merged["configurable"], DURABILITY: durability}
        if not (saver or chosen.get("thread_id")):
            # it cannot be resumed, but it has to be seen that it runs
            chosen["thread_id"] = str(uuid.uuid4())
        return {**(config or {}), "configurable": chosen}
