"""Whether a coder goes round in circles: pure, from what it called and saw in this attempt."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

REPEATS, WINDOW = 3, 8
"""The same call with the same answer so often among the last calls is going round in circles."""

RUNS = 4
"""So are so many runs of the tests with the same changes and the same failures."""

NOTE = "You are not getting on"
"""How the message begins that says so, once; the next time the attempt is handed in."""

EDITS = frozenset({"replace", "create_file"})

VARYING = re.compile(r"\d+\.\d+ ?m?s\b|0x[0-9a-fA-F]+")
"""What differs between runs of the same: durations, addresses."""


@dataclass(frozen=True)
class Seen:
    """A call and what came of it; `run` says which files gave which failures, of a test run."""

    call: str
    answer: str
    is_edit: bool
    run: str


def stuck(messages: Sequence[AnyMessage], steps: int) -> tuple[str, bool]:
    """Why the coder does not get on, empty while it does; and whether it was told before.

    `steps` is the number of its decisions in this attempt; those before are another's.
    """
    mine = _of_attempt(messages, steps)
    told = [n for n, m in enumerate(mine) if isinstance(m, HumanMessage) and NOTE in m.text[:40]]
    seen = list(_seen(mine[told[-1] :] if told else mine))
    return (_repeats(seen) or _runs(seen)) if seen else "", bool(told)


def note(reason: str) -> HumanMessage:
    """What the coder is told."""
    return HumanMessage(
        f"{NOTE}: {reason}. Look elsewhere, or try something else; if nothing can be done, hand in "
        "as impossible."
    )


def _of_attempt(messages: Sequence[AnyMessage], steps: int) -> Sequence[AnyMessage]:
    decisions = [n for n, message in enumerate(messages) if isinstance(message, AIMessage)]
    return messages[decisions[-steps] :] if 0 < steps <= len(decisions) else messages


def _seen(messages: Sequence[AnyMessage]) -> Iterator[Seen]:
    calls: dict[str, tuple[str, str]] = {}
    for message in messages:
        if isinstance(message, AIMessage):
            for call in (*message.tool_calls, *message.invalid_tool_calls):
                arguments = json.dumps(call["args"], sort_keys=True, default=str)
                calls[str(call["id"])] = (str(call["name"]), arguments)
        elif isinstance(message, ToolMessage) and message.tool_call_id in calls:
            name, arguments = calls[message.tool_call_id]
            yield Seen(
                call=f"{name} {arguments}",
                answer=VARYING.sub("", message.text),
                is_edit=name in EDITS and not message.text.startswith("error"),
                run=str(message.artifact or ""),
            )


def _repeats(seen: list[Seen]) -> str:
    last, recent = seen[-1], seen[-WINDOW:]
    if not last.is_edit:
        edits = [n for n, item in enumerate(recent) if item.is_edit]
        recent = recent[edits[-1] + 1 :] if edits else recent
    count = sum(item == last for item in recent)
    name = last.call.partition(" ")[0]
    return f"{name} was called {count} times with the same answer" if count >= REPEATS else ""


def _runs(seen: list[Seen]) -> str:
    runs = [item.run for item in seen if item.run]
    count = runs.count(runs[-1]) if runs and seen[-1].run else 0
    return f"{count} runs of the tests had the same changes and failures" if count >= RUNS else ""
