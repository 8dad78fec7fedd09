"""Going back: a thread rewound to one of its checkpoints, or a new thread made from one.

Neither touches a desktop. Both write one checkpoint, whole or not at all, that names the snapshot
of the chosen one; the next node to need files finds them as they were, by the comparison that
every node makes. What was asked, answered or finished after the chosen checkpoint is not taken
along: a question is asked again.

* *Rewinding* writes it at the end of the thread, as a branch; the abandoned one stays in history.
* *Forking* writes it as the first of another thread. Either thread may be pruned or forgotten
  without the other: channels that are kept as differences are stored whole. Until it is there, the
  new thread counts as one that is being forgotten: what a crash leaves is nobody's.
"""

from datetime import UTC, datetime
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint
from langgraph.checkpoint.base.id import uuid6

from checkpoints.lease import thread_lease
from checkpoints.ledger import FORGOTTEN
from nodes.state import State
from sentient.cleanup.forgetting import forget
from sentient.opening import Graph, config_of, open_graph, saver_of
from sentient.past.retasking import with_task
from sentient.past.timeline import Moment, Timeline, read_timeline
from sentient.runs import Runs
from tools.connection import Connection
from tools.desktop import list_snapshots
from tools.errors import EnvironmentFaultError, SentientError, UsageError


async def rewind(runs: Runs, thread: str, name: str) -> Moment:
    """Make the chosen checkpoint the newest one; the thread can be resumed from there.

    Raises:
        UsageError: no such thread or checkpoint, or nothing can go on from it.
        EnvironmentFaultError: the snapshot of its files is gone.
        ThreadBusyError: the thread is being run.
    """
    runs.row(thread)
    with thread_lease(runs.leases, thread):
        async with open_graph(runs.settings) as graph:
            timeline = await read_timeline(saver_of(graph), thread)
            moment = timeline.find(name)
            await _check(runs, timeline, moment)
            # first, so that a crash in between leaves a thread that can be resumed
            runs.ledger.save_thread(thread, status="stopped", detail="")
            target = config_of(thread, moment.id)
            await _write(graph, thread, moment, await _values(graph, thread, moment), target)
    return moment


async def fork(runs: Runs, thread: str, name: str, new: str, task: str) -> Moment:
    """Make thread `new` from a checkpoint of another, with another task if one is given.

    Raises:
        UsageError: no such thread or checkpoint, nothing can go on from it, or `new` exists.
        EnvironmentFaultError: the snapshot of its files is gone.
    """
    row = runs.row(thread)
    if new in runs.ledger.half_forgotten():
        await forget(runs.settings, runs.ledger, new)
    with thread_lease(runs.leases, new):
        async with open_graph(runs.settings) as graph:
            timeline = await read_timeline(saver_of(graph), thread)
            moment = timeline.find(name)
            await _check(runs, timeline, moment)
            if runs.ledger.thread(new) or await saver_of(graph).aget_tuple(config_of(new)):
                raise UsageError(f"thread {new} exists already", hint="choose another --thread")
            values = await _values(graph, thread, moment)
            if task:
                values = with_task(values, task, timeline, moment)
            runs.ledger.save_thread(new, status=FORGOTTEN)
            await _write(graph, thread, moment, {**values, "owner": new}, config_of(new))
            try:  # a prune of the original may have come between the look and the writing
                await check_files(Connection(runs.settings), timeline, moment)
            except SentientError:
                await saver_of(graph).adelete_thread(new)
                runs.ledger.forget_thread(new)
                raise
        runs.ledger.save_thread(
            new, source=row["source"], task=values.get("task", ""), status="stopped"
        )
    return moment


async def _values(graph: Graph, thread: str, moment: Moment) -> State:
    found: State = (await graph.aget_state(config_of(thread, moment.id))).values  # type: ignore[assignment]
    return found


async def _write(
    graph: Graph, thread: str, moment: Moment, values: State, target: RunnableConfig
) -> None:
    """Write a checkpoint like the chosen one, with this state, as a child of `target`."""
    saver = saver_of(graph)
    item = await saver.aget_tuple(config_of(thread, moment.id))
    assert item is not None
    checkpoint: Checkpoint = {
        **item.checkpoint,
        "id": str(uuid6()),
        "ts": datetime.now(UTC).isoformat(),
        "channel_values": {**item.checkpoint["channel_values"], **values},
    }
    metadata: dict[str, Any] = {
        "source": "fork",
        "step": item.metadata["step"] + 1,
        "parents": {},
        "taken_from": f"{thread}@{moment.id}",
    }
    target["configurable"]["checkpoint_ns"] = ""
    versions = checkpoint["channel_versions"]
    await saver.aput(target, checkpoint, metadata, versions)  # type: ignore[arg-type]


async def _check(runs: Runs, timeline: Timeline, moment: Moment) -> None:
    """Raise unless a run can go on from this checkpoint with its files."""
    short, thread = timeline.short(moment.id), timeline.thread
    if not moment.next:
        hint = f"choose an earlier one: sentient history {thread}"
        raise UsageError(f"nothing comes after checkpoint {short}: the run ended there", hint=hint)
    await check_files(Connection(runs.settings), timeline, moment)


async def check_files(connection: Connection, timeline: Timeline, moment: Moment) -> None:
    """Raise unless the files of a checkpoint can be had.

    Raises:
        UsageError: it is from before the desktop existed.
        EnvironmentFaultError: its snapshot is gone from the server.
    """
    short = timeline.short(moment.id)
    ref = moment.values.get("desktop")
    if ref is None:
        hint = f"choose a later one: sentient history {timeline.thread}"
        raise UsageError(f"checkpoint {short} is from before there were files", hint=hint)
    if ref["snapshot"] not in await list_snapshots(connection, ref["id"]):
        raise EnvironmentFaultError(
            f"the files of checkpoint {short} are gone: the server has no {ref['snapshot']}",
            hint="choose another checkpoint",
        )
