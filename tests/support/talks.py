"""A small graph whose state is a conversation of deltas."""

from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import StateGraph

from checkpoints.deltas import CONVERSATION


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], CONVERSATION]
    turns: int


def talk_graph(saver: Any) -> Any:
    """A graph that says one line a step until it has said as many as its first message asks."""

    async def speak(state: Talk) -> dict[str, Any]:
        turn = state.get("turns", 0) + 1
        return {"messages": [AIMessage(f"line {turn}")], "turns": turn}

    builder = StateGraph(Talk)
    builder.add_node("speak", speak)
    builder.set_entry_point("speak")
    builder.add_conditional_edges(
        "speak", lambda s: "speak" if s["turns"] < int(s["messages"][0].text) else "__end__"
    )
    return builder.compile(checkpointer=saver)


def config(thread: str, **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread, **more}, "recursion_limit": 200}


async def talk(graph: Any, thread: str, lines: int, **metadata: Any) -> list[str]:
    given = {"messages": [HumanMessage(str(lines))], "turns": 0}
    await graph.ainvoke(given, {**config(thread), "metadata": metadata}, durability="sync")
    return await said(graph, thread)


async def said(graph: Any, thread: str) -> list[str]:
    state = (await graph.aget_state(config(thread))).values
    return [message.text for message in state.get("messages", [])]
