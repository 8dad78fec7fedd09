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
    question: Any = field(default=None)


async def read_ending(graph: Graph, thread: str) -> Ending:
    """Where the newest checkpoint leaves the thread; whether a process is at it is not said."""
    snapshot = await graph.aget_state(config_of(thread))
    state: State = snapshot.values  # type: ignore[assignment]
    if snapshot.interrupts:
        return Ending(thread, "waiting", state, snapshot.interrupts[0].value)
    finished = bool(state) and not snapshot.next
    return Ending(thread, "finished" if finished else "stopped", state)
