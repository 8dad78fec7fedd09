"""How a run ended, read from the newest checkpoint of its thread."""

from dataclasses import dataclass, field
from typing import Any, Literal

from nodes.state import State
from sentient.opening import Graph, config_of


@dataclass
class Ending:
    """How a run ended, and the state it left."""

    thread: str
    kind: Literal["finished", "waiting", "running", "stopped"]
    state: State
    question: dict[str, Any] = field(default_factory=dict)
    """What is asked, when waiting: its `kind`, the question in words, the `answers`, facts."""
    schema: dict[str, Any] = field(default_factory=dict)
    """The JSON schema of an answer."""


async def read_ending(graph: Graph, thread: str) -> Ending:
    """Where the newest checkpoint leaves the thread; whether a process is at it is not said."""
    snapshot = await graph.aget_state(config_of(thread))
    state: State = snapshot.values  # type: ignore[assignment]
    if snapshot.interrupts:
        asked = snapshot.interrupts[0]
        schema = asked.response_schema if isinstance(asked.response_schema, dict) else {}
        return Ending(thread, "waiting", state, asked.value, schema)
    # a task that is done, but not yet in a checkpoint, is not `next` any more
    finished = bool(state) and not snapshot.tasks
    return Ending(thread, "finished" if finished else "stopped", state)
