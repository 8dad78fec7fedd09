"""What a child does: start or resume one thread to its end, and write down what came out."""

import asyncio
import gc
import hashlib
import importlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripted_model import Answer

from nodes.model.client import make_model
from nodes.state import Input
from sentient.cleanup.forgetting import forget
from sentient.runs import Runs
from tools.connection import Connection
from tools.desktop import list_desktops
from tools.settings import Settings

CALC = """\
def mean(values):
    return sum(values) / (len(values) + 1)
"""

TEST_CALC = """\
from calc import mean


def test_mean():
    assert mean([2, 4]) == 3


def test_mean_of_zero():
    assert mean([0]) == 0
"""

FILES = {"calc.py": CALC, "test_calc.py": TEST_CALC, "effects.md": "effects\n"}
"""A repository whose tests take milliseconds."""


def append(number: int) -> tuple[str, str]:
    """A tool call with an effect that shows how often it happened."""
    return "shell", json.dumps({"command": f"echo 'effect {number}' >> effects.md"})


REPAIR = (
    "replace",
    json.dumps({"path": "calc.py", "old": "(len(values) + 1)", "new": "len(values)"}),
)

EFFECTS = 5
"""Lines that the script's calls append, each once."""

SCRIPT: list[Answer] = [
    {"calls": [append(1), append(2)]},
    {"calls": [append(3)]},
    {"calls": [REPAIR, append(4)]},
    {"calls": [append(5), ("hand_in", json.dumps({"summary": "done"}))]},
]
"""What the coder decides: two effects at once, one alone, one after an edit, one with the end."""


@dataclass(frozen=True)
class World:
    """A home with its server, the source, and the scripted model; one a worker."""

    home: Path
    source: Path
    model_url: str

    @property
    def settings(self) -> Settings:
        """Settings of every process of this world."""
        return Settings(home=self.home, model="scripted", openai_base_url=self.model_url)

    @property
    def environment(self) -> dict[str, str]:
        """The same for a command in a process of its own."""
        names = {"SENTIENT_HOME": str(self.home), "SENTIENT_MODEL": "scripted"}
        return {**os.environ, **names, "OPENAI_BASE_URL": self.model_url}


def run_thread(world: World, thread: str, result: Path, *, last: bool = False) -> None:
    """Start the thread, or resume it if it is known, and write its outcome to `result`.

    A thread that was killed before its line in the ledger was never accepted: it is started again.
    The `last` one forgets the thread, with all that is kept for it.
    """
    outcome = asyncio.run(_run(world, thread))
    write(result, outcome)
    if last:
        forget_thread(world, thread)


def forget_thread(world: World, thread: str) -> None:
    """Remove the thread, with all that is kept for it."""
    runs = Runs(world.settings)
    asyncio.run(forget(world.settings, runs.ledger, thread))


def preload() -> None:
    """Import in the parent what a run imports late, so that no child has to."""
    model: Any = make_model(Settings(model="scripted", openai_base_url="http://127.0.0.1"), "any")
    for module in (model.root_async_client.chat.completions.__module__, *LATE):
        importlib.import_module(module)
    gc.freeze()


LATE = (
    "anyio._backends._asyncio", "h11", "httpcore2", "langchain_core.tools", "openai.lib._parsing",
    "openai.lib.streaming.chat", "openai.types.chat", "tiktoken", "truststore", "yaml",
)  # fmt: skip


def write(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value))
    draft.replace(path)


async def _run(world: World, thread: str) -> dict[str, Any]:
    runs = Runs(world.settings)
    if runs.ledger.thread(thread) is None:
        given = Input(source=str(world.source))
        ending = await runs.start(given, thread, lambda _: None)
    else:
        ending = await runs.resume(thread, lambda _: None)
    report = dict(ending.state.get("report", {}))
    row = runs.ledger.thread(thread) or {}
    metadata = {"sentient-thread": thread}
    return {
        "kind": ending.kind,
        "status": row.get("status"),
        "patch": runs.ledger.patch(str(report.get("patch", ""))) or "",
        "report": _timeless(report),
        "conversation": _digest(ending.state.get("messages", [])),
        "outcomes": sorted([o["kind"], o["attempt"], o["test"], o["outcome"]]
                           for o in runs.ledger.test_history(thread)),
        "desktops": [item async for item in list_desktops(Connection(world.settings), metadata)],
    }  # fmt: skip


def _timeless(report: Any) -> Any:
    """A report without what took how long."""
    if not isinstance(report, dict):
        return report
    return {name: _timeless(value) for name, value in report.items() if name != "seconds"}


def _digest(messages: list[Any]) -> str:
    """The conversation, without the ids that are given anew by a step that ran again."""
    told = [
        [m.type, m.content, [[call["name"], call["args"]] for call in getattr(m, "tool_calls", [])]]
        for m in messages
    ]
    text = json.dumps(told)
    return hashlib.sha256(text.encode()).hexdigest()
