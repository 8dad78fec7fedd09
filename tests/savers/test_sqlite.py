"""What holds of the SQLite saver alone: no half of a change survives a kill, and its size."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import StateGraph
from samples import ROOT
from talks import Talk, config, said, talk, talk_graph

from checkpoints.sqlite import SqliteSaver, open_saver


@pytest.fixture
async def saver(tmp_path: Path) -> AsyncIterator[SqliteSaver]:
    async with open_saver(tmp_path / "checkpoints.db") as opened:
        yield opened


def rows(path: Path, table: str = "checkpoints") -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        found = connection.execute(f"select * from {table} order by 1, 2, 3, 4, 5").fetchall()
    connection.close()
    return found


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
import aiosqlite
from checkpoints.sqlite import open_saver

async def main(path, statement, call):
    execute = aiosqlite.Connection.execute
    def killed(self, sql, *args):
        if sql.startswith(statement):
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(self, sql, *args)
    async with open_saver(Path(path)) as saver:
        aiosqlite.Connection.execute = killed
        await eval(call)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("INSERT INTO writes", "saver.acopy_thread('t', 'copy')"),
        ("DELETE FROM writes", "saver.aprune(['t', 'u'])"),
        ("DELETE FROM checkpoints", "saver.adelete_for_runs(['first'])"),
    ],
)
async def test_killed_in_the_middle_nothing_has_changed(
    saver: SqliteSaver, tmp_path: Path, statement: str, call: str
) -> None:
    graph = talk_graph(saver)
    await talk(graph, "t", 3, run_id="first")
    told = await talk(graph, "t", 6, run_id="second")
    await talk(graph, "u", 3)
    path = tmp_path / "checkpoints.db"
    before = rows(path), rows(path, "writes")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), statement, call],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert (rows(path), rows(path, "writes")) == before
    assert await said(graph, "t") == told


async def test_long_conversation_costs_what_is_said_not_its_length(
    saver: SqliteSaver, tmp_path: Path
) -> None:
    async def speak(state: Talk) -> dict[str, Any]:
        text = os.urandom(3000).hex()
        return {"messages": [AIMessage(text)], "turns": state.get("turns", 0) + 1}

    builder = StateGraph(Talk)
    builder.add_node("speak", speak)
    builder.set_entry_point("speak")
    builder.add_conditional_edges("speak", lambda s: "speak" if s["turns"] < 60 else "__end__")
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"messages": [], "turns": 0}, config("t"), durability="sync")
    [[_, pages, done]] = await saver.conn.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
    assert pages == done
    assert (tmp_path / "checkpoints.db").stat().st_size / 60 < 30_000  # 6 kB of them are said


async def test_savers_of_a_new_file_opened_at_once_all_open(tmp_path: Path) -> None:
    async def use(path: Path) -> int:
        async with open_saver(path) as saver:
            return len([found async for found in saver.alist(None)])

    for number in range(30):
        path = tmp_path / f"{number}.db"
        assert await asyncio.gather(*(use(path) for _ in range(8))) == [0] * 8
