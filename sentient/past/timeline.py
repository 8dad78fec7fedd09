"""A thread's checkpoints as people think of them: who made each, what it holds, where it came from.

Read through the saver's public interface, and all at once: an iterator over checkpoints that stays
open would block writers. Conversations are not put together for it.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple

from checkpoints.sizes import stored_sizes
from nodes.state import State
from sentient.opening import config_of
from sentient.text import plural
from tools.errors import UsageError

LATEST = "latest"
"""The name of a thread's newest checkpoint, wherever a checkpoint is asked for."""

SHORTEST_ID = 8
CANDIDATES = 8
"""Checkpoints that an error about an ambiguous id lists."""

BRANCH = "branch:to:"
"""Channels by which LangGraph starts a node; those that are set name the nodes to come."""

SENT = "__pregel_tasks"
"""The channel of nodes that are sent a state of their own."""


@dataclass(frozen=True)
class Moment:
    """One checkpoint; `values` lacks channels that are saved as deltas (the conversation)."""

    id: str
    parent: str
    node: str
    """The node whose work it is the first to hold; `input` before any."""
    next: tuple[str, ...]
    source: str
    """How it came about: input, loop (a node ran), update (a person) or fork (a rewind)."""
    created: datetime
    values: State
    writes: tuple[tuple[str, Any], ...]
    """What the following node wrote, as (channel, value): the update of the next checkpoint."""
    origin: str
    """THREAD@CHECKPOINT that a rewind or fork took this one from; empty for all others."""
    size: int
    """Bytes; see `Timeline.sizes_are_stored`."""

    @property
    def waits(self) -> bool:
        """Whether a question was asked here; it may have been answered since."""
        return any(channel == "__interrupt__" for channel, _ in self.writes)

    @property
    def snapshot(self) -> str:
        """The snapshot of its files, empty when it is from before the desktop existed."""
        ref = self.values.get("desktop")
        return ref["snapshot"] if ref else ""


class Timeline:
    """All checkpoints of a thread, the newest first."""

    def __init__(
        self, thread: str, moments: list[Moment], *, sizes_are_stored: bool, candidate: int = 0
    ) -> None:
        self.thread, self.moments, self.candidate = thread, moments, candidate
        self.sizes_are_stored = sizes_are_stored
        """Whether sizes are those in the database, with what was written from the checkpoint."""
        self._by_id = {moment.id: moment for moment in moments}
        self.digits = _unique_digits(sorted(self._by_id))
        """How many characters of an id tell it from all others of the thread."""

    @property
    def latest(self) -> Moment:
        """Where the thread is."""
        return self.moments[0]

    def ancestry(self, moment: Moment) -> Iterator[Moment]:
        """The moment and what led to it, newest first."""
        found: Moment | None = moment
        while found is not None:
            yield found
            found = self._by_id.get(found.parent)

    def parent(self, moment: Moment) -> Moment | None:
        """The checkpoint that a moment was made from; None for the first, or when it is gone."""
        return self._by_id.get(moment.parent)

    def short(self, checkpoint: str) -> str:
        """The beginning of the id that is shown and can be given back."""
        return checkpoint[: self.digits]

    def find(self, name: str) -> Moment:
        """The checkpoint with this id, the one id that begins so, or the `latest`.

        Raises:
            UsageError: there is none, or more than one; the message lists them.
        """
        if name == LATEST:
            return self.latest
        found = [moment for moment in self.moments if name and moment.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        hint = f"list them: sentient history {self.thread}"
        if not found:
            raise UsageError(f"thread {self.thread} has no checkpoint {name!r}", hint=hint)
        listed = ", ".join(f"{self.short(m.id)} ({m.node})" for m in found[:CANDIDATES])
        more = f" and {len(found) - CANDIDATES} more" if len(found) > CANDIDATES else ""
        count = plural(len(found), "checkpoint")
        raise UsageError(f"{name!r} begins the ids of {count}: {listed}{more}", hint=hint)


def _unique_digits(ids: list[str]) -> int:
    longest = SHORTEST_ID
    for one, other in itertools.pairwise(ids):
        common = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 36)
        longest = max(longest, common + 1)
    return longest


async def read_timeline(
    saver: BaseCheckpointSaver[Any], thread: str, candidate: int = 0
) -> Timeline:
    """Read every checkpoint of a thread, or of one of its candidates as it was last worked out.

    Raises:
        UsageError: the thread has none: it was stopped before its first step; or no such candidate.
    """
    tuples = [item async for item in saver.alist(config_of(thread))]
    own = _of_candidate(tuples, candidate) if candidate else _in(tuples, "")
    if not own:
        hint = f"{'see: sentient logs' if candidate else 'start it: sentient resume'} {thread}"
        whose = f"candidate {candidate} of thread {thread}" if candidate else f"thread {thread}"
        raise UsageError(f"{whose} has no checkpoint yet", hint=hint)
    stored = None if candidate else await stored_sizes(saver, thread)
    moments = [
        _moment(item, _size(saver, item) if stored is None else stored[item.checkpoint["id"]])
        for item in own
    ]
    return Timeline(thread, moments, sizes_are_stored=stored is not None, candidate=candidate)


def _in(tuples: list[CheckpointTuple], namespace: str) -> list[CheckpointTuple]:
    found = ((item.config["configurable"].get("checkpoint_ns", ""), item) for item in tuples)
    return [item for where, item in found if where == namespace]


def _of_candidate(tuples: list[CheckpointTuple], candidate: int) -> list[CheckpointTuple]:
    """The checkpoints of its last time; a thread that was rewound has begun it more than once."""
    mine = (i for i in tuples if i.checkpoint["channel_values"].get("candidate") == candidate)
    newest = max(mine, key=lambda item: item.checkpoint["id"], default=None)
    return _in(tuples, newest.config["configurable"]["checkpoint_ns"]) if newest else []


def _moment(item: CheckpointTuple, size: int) -> Moment:
    checkpoint, values = item.checkpoint, item.checkpoint["channel_values"]
    parent = (item.parent_config or {}).get("configurable", {}).get("checkpoint_id")
    coming = [name.removeprefix(BRANCH) for name in values if name.startswith(BRANCH)]
    coming += dict.fromkeys(send.node for send in values.get(SENT, []))
    metadata: dict[str, Any] = dict(item.metadata)
    return Moment(
        id=checkpoint["id"],
        parent=str(parent or ""),
        node=_made_by(checkpoint),
        next=tuple(coming) or (("__start__",) if "__start__" in values else ()),
        source=str(metadata.get("source", "")),
        created=datetime.fromisoformat(checkpoint["ts"]),
        values=values,  # type: ignore[arg-type]
        writes=tuple((channel, value) for _, channel, value in item.pending_writes or []),
        origin=str(metadata.get("taken_from", "")),
        size=size,
    )


def _made_by(checkpoint: Checkpoint) -> str:
    """The node that saw the newest version of a channel, which is the one that ran last.

    One that was sent its state saw no channel.
    """
    if f"{BRANCH}choose" in (checkpoint.get("updated_channels") or ()):
        return "candidate"
    seen = checkpoint["versions_seen"]
    newest = {
        node: max(int(str(version).partition(".")[0]) for version in versions.values())
        for node, versions in seen.items()
        if versions and not node.startswith("__")
    }
    return max(newest, key=newest.__getitem__, default="input")


def _size(saver: BaseCheckpointSaver[Any], item: CheckpointTuple) -> int:
    values = [item.checkpoint, *(value for _, _, value in item.pending_writes or [])]
    return sum(len(saver.serde.dumps_typed(value)[1]) for value in values)
