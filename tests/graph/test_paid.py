"""What a step paid for before it failed counts as paid: for budgets, and in the report."""

from typing import Any

import pytest
from samples import Repo
from scripted_model import Answer, Script, call

from checkpoints.ledger import Ledger
from tools.errors import ModelError
from tools.settings import Settings

DONE = call("hand_in", summary="nothing to do")


class Failing(Script):
    """An endpoint that refuses the key after `answers` more answers."""

    answers = 0

    def answer(self, request: dict[str, Any]) -> Answer:
        self.answers -= 1
        self.status = self.status if self.answers else 401
        return super().answer(request)


async def test_tokens_paid_by_steps_that_failed_are_counted_after_the_resume_and_reported(
    scripted_graph: Any, repo: Repo, settings: Settings
) -> None:
    script = Failing(planner="no plan", coder=[DONE], tokens=(4000, 100))
    graph, thread = scripted_graph(script), {"configurable": {"thread_id": "paid"}}
    given: Any = {"source": str(repo()), "max_tokens": 12_800}
    for _ in range(2):
        script.answers, script.status = 1, 200
        with pytest.raises(ModelError, match="says 401"):
            await graph.ainvoke(given, thread)
        given = None
    script.answers, script.status, script.planner = 9, 200, Script.planner
    state = await graph.ainvoke(None, thread)
    ledger = Ledger(settings.home / "ledger.db")
    rows = [usage for _, _, usage in ledger.calls("paid")]
    ledger.close()
    report = state["report"]
    assert (report["budget"], len(rows)) == ("tokens", 3), "two failed, one made the plan"
    assert report["summary"].startswith("12300 of 12800 tokens are used up: too few are left")
    assert (report["usage"]["calls"], report["usage"]["input_tokens"]) == (3, 12_000)
    assert report["roles"] == {"planner": report["usage"]}
