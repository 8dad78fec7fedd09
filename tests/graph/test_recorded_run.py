"""What a run leaves in the ledger, as the views show it."""

import json
from pathlib import Path
from typing import Any

from samples import Repo
from scripted_model import Script, call

from checkpoints.ledger_file import LedgerFile

WRONG = call("replace", path="calc.py", old="(len(values) + 1)", new="(len(values) + 2)")
GOOD = call("replace", path="calc.py", old="(len(values) + 2)", new="len(values)")
DONE = call("hand_in", summary="done")


async def test_run_two_attempts_are_in_the_views(
    scripted_graph: Any, repo: Repo, home: Path
) -> None:
    graph = scripted_graph(Script(coder=[WRONG, DONE, GOOD, DONE]))
    state = await graph.ainvoke(
        {"source": str(repo())}, {"configurable": {"thread_id": "recorded"}}
    )
    assert state["report"]["status"] == "verified"
    ledger = LedgerFile(home / "ledger.db")
    attempts = ledger.rows("select * from attempt_changes where thread = 'recorded'")
    found = [
        (row["attempt"], row["verdict"], row["failing_before"], row["failing_after"])
        for row in attempts
    ]
    assert found == [(1, "failed", 2, 2), (2, "passed", 2, 0)]
    assert [json.loads(row["files"]) for row in attempts] == [["calc.py"], ["calc.py"]]
    assert [(row["lines_added"], row["lines_removed"]) for row in attempts] == [(1, 1), (1, 1)]
    history = ledger.rows(
        "select kind, attempt, outcome, snapshot from test_history"
        " where thread = 'recorded' and test = ? and kind <> 'masked'",
        ["test_calc.py::test_mean_of_two"],
    )
    assert [(row["kind"], row["attempt"], row["outcome"]) for row in history] == [
        ("baseline", 0, "failed"),
        ("verdict", 1, "failed"),
        ("verdict", 2, "passed"),
    ]
    assert history[1]["snapshot"] == state["base_snapshot"]
    [costs] = ledger.rows("select * from thread_costs where thread = 'recorded'")
    assert costs["calls"] == state["report"]["usage"]["calls"] == 6
    assert costs["input_tokens"] == state["report"]["usage"]["input_tokens"]
    assert costs["usd"] is None
    ledger.close()
