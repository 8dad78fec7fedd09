"""An interpreter's kernel that is the enemy: its output and its events, against the server."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from e2b_code_interpreter import AsyncSandbox

from sentient_desktop.interpreter import kernel as kernel_module
from sentient_desktop.interpreter.events import NESTING_LIMIT
from sentient_desktop.interpreter.kernel import Kernel

EVENT = json.dumps({"event": "result", "data": {}}).encode() + b"\n"


class Hostile(Kernel):
    """A kernel whose output pipe is full again as soon as it was read."""

    taken = 0

    def _read(self, name: str) -> bytes | None:
        if name == "events":
            return super()._read(name)
        self.taken += kernel_module.CHUNK_BYTES
        return b"x" * kernel_module.CHUNK_BYTES


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Hostile, int]]:
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(4)]
    (request_end, requests), (out, out_end), (err, err_end), (events, event_end) = pipes
    kernel = Hostile(requests, out, err, events)
    yield kernel, event_end
    kernel.die("the test is over")
    for fd in (request_end, out_end, err_end, event_end):
        os.close(fd)


@pytest.mark.parametrize("listening", [True, False])
async def test_events_among_endless_output_take_a_bounded_time_and_space(
    ends: tuple[Hostile, int], listening: bool
) -> None:
    """Output is read ahead of every event; a chunk of pipe holds thousands of events."""
    kernel, events = ends
    kernel._listening = listening
    os.write(events, EVENT * 1500)
    kernel._on_readable("events")
    assert kernel.taken <= 4 * kernel_module.DRAIN_LIMIT_BYTES
    assert kernel._queued <= kernel_module.QUEUE_LIMIT_BYTES + 4 * kernel_module.DRAIN_LIMIT_BYTES
    await asyncio.sleep(0)


@pytest.mark.long
async def test_results_of_any_depth_end_in_an_answer(create: Any, options: dict[str, Any]) -> None:
    """Code in a context can write to its kernel's pipe of events whatever it likes."""
    made = await create("code-interpreter-v1")
    box = await AsyncSandbox.connect(made.sandbox_id, **options)
    for depth in (50, 970, 975, 5000):
        lists = f"b'[' * {depth} + b']' * {depth}"
        start, end = '{"event": "result", "data": {"x/y": ', "}}\\n"
        done = await box.run_code(f"import os; os.write(4, b'{start}' + {lists} + b'{end}'); None")
        assert bool(done.error) == (depth > NESTING_LIMIT)
    assert (await box.run_code("1 + 1")).text == "2"
