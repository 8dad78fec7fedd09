"""Where a run stands, in memory that outlives it: a file mapped by the run and by its killer."""

import json
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

SLOT_BYTES = 256
HEADER = struct.Struct("<II")
"""How many points were reached; how many effects of tool calls were begun."""


@dataclass(frozen=True)
class Place:
    """A point that a run has reached: the node, the stage of that node, the point's own name."""

    node: str
    stage: str
    point: str

    @property
    def phase(self) -> str:
        """Node and stage, by which kills are counted."""
        return f"{self.node}.{self.stage}"

    @property
    def name(self) -> str:
        """The place as people write it, without which time it is."""
        return f"{self.phase}.{self.point}"


START = Place("start", "saving", "start")
"""Before the first point."""


class Trace:
    """Written by one process, read by another once that one is dead (or at any time).

    Two slots in turn, then the count: a death between two writes leaves the older place readable.
    """

    def __init__(self, path: Path, *, fresh: bool) -> None:
        if fresh:
            path.write_bytes(bytes(HEADER.size + 2 * SLOT_BYTES))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self.path = path

    def note(self, place: Place, *, effects: int) -> int:
        """Record a place; return its number in this run, from 1."""
        count = self.count + 1
        text = json.dumps([place.node, place.stage, place.point]).encode()
        start = HEADER.size + (count % 2) * SLOT_BYTES
        self._memory[start : start + SLOT_BYTES] = text.ljust(SLOT_BYTES)
        self._memory[: HEADER.size] = HEADER.pack(count, effects)
        return count

    @property
    def count(self) -> int:
        """Points reached so far."""
        return int(HEADER.unpack(self._memory[: HEADER.size])[0])

    @property
    def effects(self) -> int:
        """Effects of tool calls begun so far."""
        return int(HEADER.unpack(self._memory[: HEADER.size])[1])

    @property
    def place(self) -> Place:
        """The last place reached."""
        if not self.count:
            return START
        start = HEADER.size + (self.count % 2) * SLOT_BYTES
        return Place(*json.loads(self._memory[start : start + SLOT_BYTES]))

    def close(self) -> None:
        """Unmap the memory; the file stays."""
        self._memory.close()


@dataclass(frozen=True)
class Blow:
    """A kill to be dealt: at a point, counted from the start of the process, or some time after.

    `after_s` None: the process kills itself at that very point. Otherwise its parent does, so many
    seconds after the point was reached; point 0 is the start of the process. With the `name` of a
    point, written `node.stage.point`, only the times at which that one is reached are counted.
    """

    at: int
    after_s: float | None = None
    name: str = ""


def self_kill() -> None:
    """Die as if by `kill -9`."""
    os.kill(os.getpid(), 9)
