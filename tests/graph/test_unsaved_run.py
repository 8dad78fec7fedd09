"""A run without saver and thread: swept around while it runs, collected when it is over."""

from pathlib import Path

import pytest
from samples import Repo

from checkpoints.ledger import Ledger
from checkpoints.ledger_file import LedgerFile
from graphs.engineering import make_graph
from nodes.home_desktops import HomeDesktops
from sentient.cleanup.housekeeping import housekeeping
from tools.connection import Connection
from tools.settings import Settings


@pytest.mark.long
async def test_run_without_saver_is_left_alone_and_then_nothing_of_it_stays(
    settings: Settings, repo: Repo, home: Path
) -> None:
    ledger, ended, busy = Ledger(home / "ledger.db"), {}, set[str]()
    events = make_graph(None, settings).astream(
        {"source": str(repo())}, stream_mode=["custom", "values"]
    )
    async for mode, event in events:
        if mode == "custom" and event["event"] == "tests" and event["kind"] == "verdict":
            async with housekeeping(settings, ledger) as keeper:
                await keeper.sweep()
            busy |= keeper.report.busy
        elif mode == "values":
            ended = event
    assert ended["report"]["status"] == "verified", "its desktops were there until its end"
    thread = ended["owner"]
    assert thread in busy
    async with housekeeping(settings, ledger) as keeper:
        await keeper.collect(only=thread)
    assert keeper.report.snapshots
    server = HomeDesktops(Connection(settings), home)
    file = LedgerFile(home / "ledger.db")
    rows = file.rows("select id from desktops where thread = ?", [thread])
    assert len(rows) == 4  # the first, the one made of it, two verdicts
    assert [found for row in rows for found in await server.snapshots(row["id"])] == []
    file.close()
    ledger.close()
