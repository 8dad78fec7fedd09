"""What a child does: start or resume one thread to its end, and write down what came out."""

import asyncio
import gc
import hashlib
import importlib
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from killing.scenarios import PACKAGES, Scenario
from nodes.model.client import make_model
from sentient.cleanup.forgetting import forget
from sentient.runs import Runs
from tools.connection import Connection
from tools.desktop import Desktop, list_desktops
from tools.layout import ENVIRONMENT
from tools.settings import Settings


@dataclass(frozen=True)
class World:
    """A home with its server, the source, and the scripted model; one a worker."""

    home: Path
    source: Path
    model_url: str
    scenario: Scenario
    options: dict[str, Any] = field(default_factory=dict)
    """Further settings."""

    @property
    def settings(self) -> Settings:
        """Settings of every process of this world."""
        model = self.scenario.model
        return Settings(home=self.home, model=model, openai_base_url=self.model_url, **self.options)

    @property
    def environment(self) -> dict[str, str]:
        """The same for a command in a process of its own."""
        names = {"SENTIENT_HOME": str(self.home), "SENTIENT_MODEL": self.scenario.model}
        names |= {f"SENTIENT_{name.upper()}": str(self.options[name]) for name in self.options}
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
    """Remove the thread, with all that is kept for it, and what was installed."""
    runs = Runs(world.settings)
    for layer in layers(world):
        runs.ledger.environments.forget(layer)
    asyncio.run(forget(world.settings, runs.ledger, thread))


def layers(world: World) -> list[str]:
    """Snapshots that the ledger keeps as environments."""
    with closing(sqlite3.connect(world.home / "ledger.db")) as ledger:
        rows = ledger.execute("select distinct snapshot from environments order by snapshot")
        return [row[0] for row in rows if row[0]]


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
        given: Any = {"source": str(world.source), **world.scenario.given}
        ending = await runs.start(given, thread, lambda _: None)
    else:
        ending = await runs.resume(thread, lambda _: None)
    if ending.kind == "waiting":
        ending = await runs.resume(thread, lambda _: None, world.scenario.answer)
    report = dict(ending.state.get("report", {}))
    paid = [usage for _, _, usage in runs.ledger.calls(thread)]
    row = runs.ledger.thread(thread) or {}
    metadata = {"sentient-thread": thread}
    return {
        "kind": ending.kind,
        "status": row.get("status"),
        "patch": runs.ledger.patch(str(report.get("patch", ""))) or "",
        "report": _timeless(report),
        "unpaid": len(paid) - report.get("usage", {}).get("calls", 0),
        "effects": world.scenario.effects,
        "environment": await _environment(world, ending.state.get("environment")),
        "conversation": _digest(ending.state.get("messages", [])),
        "outcomes": sorted([o["kind"], o["attempt"], o["test"], o["outcome"]]
                           for o in runs.ledger.test_history(thread)),
        "desktops": [item async for item in list_desktops(Connection(world.settings), metadata)],
    }  # fmt: skip


async def _environment(world: World, environment: Any) -> list[str]:
    """What was installed: whether all of it was, and the names and sizes of its files."""
    if not world.scenario.installs:
        return []
    place = Connection(world.settings)
    made = Desktop.create(template=environment["layer"], lifecycle="ephemeral", connection=place)
    async with await made as desktop:
        # an installer's records have times in them
        listing = f"find {ENVIRONMENT} -type f ! -path '*.dist-info/*' -printf '%P %s\\n' | sort"
        done = await desktop.exec(listing)
    found = done.stdout
    assert found.count("/module_") == 2 * PACKAGES * 39, found[-600:]  # each compiled, too
    return [environment["status"], hashlib.sha256(found.encode()).hexdigest()]


def _timeless(report: Any) -> Any:
    """A report without what took how long, and without calls that were made again."""
    if not isinstance(report, dict):
        return report
    left_out = ("seconds", "usage", "roles")
    return {name: _timeless(value) for name, value in report.items() if name not in left_out}


def _digest(messages: list[Any]) -> str:
    """The conversation, without the ids that are given anew by a step that ran again."""
    told = [
        [m.type, m.content, [[call["name"], call["args"]] for call in getattr(m, "tool_calls", [])]]
        for m in messages
    ]
    text = json.dumps(told)
    return hashlib.sha256(text.encode()).hexdigest()
