"""What planner and coder make of the analysis: suspects in order, a map, and nothing twice."""

from collections.abc import Mapping
from typing import Any

from samples import Repo
from scripted_model import Script, call

CART = """\
from shop.tax import tax


def total(lines):
    return sum(lines) + tax(lines)
"""
TEST = """\
from shop.cart import total


def test_total():
    assert total([100]) == 120
"""
FILES = {
    "shop/__init__.py": '"""A shop."""\n',
    "shop/cart.py": CART,
    "shop/tax.py": "RATES = {}\n\n\ndef tax(lines):\n    return RATES['standard'] * sum(lines)\n",
    "shop/names.py": "def full_name(person):\n    return person\n",
    "test_cart.py": TEST,
}
HIDDEN = {
    "shop/tax.py": (
        "from shop.rates import standard\n\n\ndef tax(lines):\n"
        "    return standard() * sum(lines) // 100 if lines else 0\n"
    ),
    "shop/rates.py": "LOW = 7\n\n\ndef standard():\n    return LOW\n",
    "test_cart.py": f"{TEST}\n\ndef test_none():\n    assert total([]) == 0\n",
}


def config(thread: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}}


async def events_of(graph: Any, source: str, thread: str) -> tuple[list[Mapping[str, Any]], Any]:
    given = {"source": source, "approve": True}
    stream = graph.astream(given, config(thread), stream_mode="custom")
    events = [event async for event in stream if event["event"] in ("analysis", "plan")]
    return events, await graph.aget_state(config(thread))


async def test_planner_suspects_where_the_trace_ends_and_analyses_a_tree_once(
    engine_graph: Any, repo: Repo
) -> None:
    source = str(repo(FILES, "shop"))
    first, state = await events_of(engine_graph, source, "analysis-first")
    assert first[0]["cached"] is False
    assert first[0]["new"] == 5
    assert "Python 18" in first[0]["summary"]
    assert state.values["plan"]["suspects"][:2] == ["shop/tax.py", "shop/cart.py"]
    second, _ = await events_of(engine_graph, source, "analysis-second")
    assert second[0]["cached"] is True
    assert second[0]["new"] == 0


async def test_coder_with_a_model_is_told_the_map_with_what_failing_tests_executed_first(
    scripted_graph: Any, repo: Repo
) -> None:
    """The fault is in `rates.py`, of which neither the failing test nor its message says a word."""
    script = Script(coder=[call("hand_in", summary="gave up", impossible=True)])
    graph = scripted_graph(script, baseline_reruns=1)
    source = str(repo({**FILES, **HIDDEN}, "shop"))
    state = await graph.ainvoke({"source": source}, config("analysis-map"))
    executed = {file["path"]: file for file in state["executed"]}
    assert set(executed) == {"shop/cart.py", "shop/tax.py", "shop/rates.py"}
    assert executed["shop/rates.py"]["lines"] == [5]
    assert executed["shop/rates.py"]["score"] == 1 > executed["shop/tax.py"]["score"]
    assert state["baseline"]["failing"] == ["test_cart.py::test_total"]
    assert state["plan"]["suspects"][:2] == ["shop/cart.py", "shop/rates.py"]
    told = next(message.text for message in state["messages"] if message.type == "human")
    shown = told.split("Repository map, likeliest files first:\n")[1]
    assert "\nshop/rates.py (5 lines)\n  1-1 constant LOW\n  4-5 standard\n" in shown
    assert "test_cart.py (9 lines)\n  4-5 test_total" in shown
