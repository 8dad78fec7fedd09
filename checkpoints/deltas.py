"""Channels that checkpoints hold as deltas: each stores what was written, not the whole value.

The value of such a channel is the newest stored value among its checkpoint's ancestors, and all
writes since. So a checkpoint whose ancestors are to be deleted must be settled first.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from langchain_core.messages import AnyMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.graph.message import Messages, add_messages

UPDATES_PER_VALUE = 20
"""Updates after which the whole value is stored again: bounds how far a reader walks back."""


def merge_messages(messages: Messages, writes: Sequence[Messages]) -> Messages:
    """Reducer: `add_messages` for one write after the other, however they are batched."""
    return reduce(add_messages, writes, messages)


CONVERSATION: DeltaChannel[list[AnyMessage]] = DeltaChannel(
    merge_messages, list, snapshot_frequency=UPDATES_PER_VALUE
)
DELTAS: Mapping[str, DeltaChannel[Any]] = {"messages": CONVERSATION}
"""All delta channels of the graphs, by name."""


async def settled(saver: BaseCheckpointSaver[str], found: CheckpointTuple) -> CheckpointTuple:
    """Return a checkpoint that holds the whole values of its delta channels, so needs no ancestor.

    Raises:
        NotImplementedError: a channel is stored as deltas whose reducer is not in `DELTAS`.
    """
    counters = dict(found.metadata.get("counters_since_delta_snapshot", {}))
    values = dict(found.checkpoint["channel_values"])
    lacking = [
        name
        for name in found.checkpoint["channel_versions"]
        if name not in values and (name in DELTAS or name in counters)
    ]
    if unknown := sorted(set(lacking) - DELTAS.keys()):
        thread = found.config["configurable"]["thread_id"]
        raise NotImplementedError(
            f"thread {thread} holds {', '.join(unknown)} as deltas of an unknown kind: its "
            "checkpoints can only be deleted all together"
        )
    histories = await saver.aget_delta_channel_history(config=found.config, channels=lacking)
    for name, history in histories.items():
        channel = DELTAS[name].from_checkpoint(history.get("seed", DELTAS[name].typ()))
        channel.replay_writes(history["writes"])
        values[name] = _DeltaSnapshot(channel.get())
        counters.pop(name, None)
    return found._replace(
        checkpoint={**found.checkpoint, "channel_values": values},
        metadata={**found.metadata, "counters_since_delta_snapshot": counters},
        parent_config=None,
    )
