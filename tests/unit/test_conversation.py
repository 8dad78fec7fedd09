"""What of a conversation a model is shown: bounded, answerable, stable at its beginning."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolCall, ToolMessage

from nodes.model.conversation import BLOCK, bounded, tokens


def exchange(number: int, size: int, argument: int = 10) -> list[AnyMessage]:
    name = f"call{number}"
    args = {"path": "a.py", "content": "x" * argument}
    call = ToolCall(name="create_file", args=args, id=name)
    answer = f"first line {number}\n" + "y" * size
    return [AIMessage("", tool_calls=[call]), ToolMessage(answer, tool_call_id=name)]


def conversation(sizes: list[int]) -> list[AnyMessage]:
    opening: list[AnyMessage] = [HumanMessage("Goal: " + "g" * 300)]
    return opening + [m for n, size in enumerate(sizes) for m in exchange(n, size, size // 2)]


def assert_answerable(messages: list[AnyMessage]) -> None:
    """Every call has its answer right behind it, and every answer its call."""
    waiting: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            assert message.tool_call_id == waiting.pop(0)
        else:
            assert not waiting
            waiting = [str(c["id"]) for c in getattr(message, "tool_calls", [])]
    assert not waiting


def test_bounded_short_conversation_is_shown_whole() -> None:
    whole = conversation([10, 10])
    assert bounded(whole, 1000) == whole


def test_bounded_old_answers_are_a_line_and_the_newest_are_whole() -> None:
    whole = conversation([3000] * 12)
    shown = bounded(whole, 9000)
    assert tokens(shown) <= 9000 < tokens(whole)
    assert shown[0] == whole[0]
    assert shown[-6:] == whole[-6:]
    assert shown[2].text == "first line 0\n[3013 characters, no longer shown]"
    assert shown[1].tool_calls[0]["args"] == {
        "path": "a.py", "content": "[1500 characters, no longer shown]",
    }  # fmt: skip
    assert len(whole[2].text) == 3013  # the conversation itself is as it was


def test_bounded_beginning_is_the_same_for_several_requests() -> None:
    whole = conversation([3000] * 30)
    views = [bounded(whole[:end], 20_000) for end in range(31, len(whole), 2)]
    changes = sum(a[: len(a)] != b[: len(a)] for a, b in pairwise(views))
    assert 0 < changes <= len(views) // (BLOCK // 2) + 1


@given(st.lists(st.integers(0, 20_000), max_size=40), st.integers(1500, 30_000))
def test_bounded_any_conversation_fits_and_stays_answerable(sizes: list[int], bound: int) -> None:
    shown = bounded(conversation(sizes), bound)
    assert_answerable(shown)
    assert tokens(shown) <= bound * 1.1 + 200
    assert shown[0].text.startswith("Goal: ")
