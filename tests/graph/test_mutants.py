"""Faults in the lines of a verified patch, from end to end."""

from typing import Any

import pytest
from samples import Repo
from scripted_model import Script, call, scripted_model

from graphs.engineering import make_graph
from tools.settings import Settings

FILES = {
    "price.py": "def price(count, member):\n    return count * 3\n",
    "test_price.py": (
        "from price import price\n\n\ndef test_member():\n    assert price(4, True) == 10\n\n\n"
        "def test_other():\n    assert price(4, False) == 12\n"
    ),
}
FIX = "    discount = 2 if member and count > 2 else 0\n    return count * 3 - discount"


@pytest.mark.long
async def test_surviving_mutants_are_told_and_block_nothing(
    saver: Any, settings: Settings, repo: Repo
) -> None:
    edit = call("replace", path="price.py", old="    return count * 3", new=FIX)
    with scripted_model(Script(coder=[edit, call("hand_in", summary="done")])) as url:
        update = {"model": "scripted", "openai_base_url": url, "mutants": 3}
        graph = make_graph(saver, settings.model_copy(update=update))
        config = {"configurable": {"thread_id": "mutants"}}
        state = await graph.ainvoke({"source": str(repo(FILES))}, config)
    report = state["report"]
    assert report["status"] == "verified", report
    told = [item["message"] for item in report["findings"] if item["gate"] == "mutants"]
    assert any("no test notices if `discount = 2 if member and count > 2" in text for text in told)
    assert not any("`return count * 3 - discount`" in text for text in told)
