"""A change that no test runs is sent back, and accepted with a test of it."""

from typing import Any

import pytest
from samples import CALC, TEST_CALC, Repo
from scripted_model import Script, call

FILES = {
    "calc.py": CALC.replace("(len(values) + 1)", "len(values)"),
    "test_calc.py": TEST_CALC,
}
END = "    return max(low, min(value, high))"
MEDIAN = f"{END}\n\n\ndef median(values):\n    return sorted(values)[len(values) // 2]"
TEST = "from calc import median\n\n\ndef test_median():\n    assert median([3, 1, 2]) == 2\n"


@pytest.mark.long
async def test_code_that_no_test_runs_is_sent_back_until_a_test_runs_it(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(
        coder=[
            call("replace", path="calc.py", old=END, new=MEDIAN),
            call("hand_in", summary="added"),
            call("create_file", path="test_median.py", content=TEST),
            call("hand_in", summary="with a test"),
        ]
    )
    given = {"source": str(repo(FILES)), "task": "add a median"}
    config = {"configurable": {"thread_id": "untested"}}
    state = await scripted_graph(script).ainvoke(given, config)
    assert state["report"]["status"] == "verified", state["report"]
    assert state["report"]["attempts"] == 2
    told = [message.text for message in state["messages"] if message.type == "human"]
    assert "untested_lines: calc.py: no test runs line 12" in told[-1]
