"""What happened in a thread, told from its checkpoints: one event after another, the oldest first.

What a node wrote is saved with the checkpoint it started from, so every event is exactly what that
execution contributed, also where later ones replaced it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from nodes.plans import in_lines
from nodes.state import Plan
from sentient.past.timeline import Moment, Timeline
from sentient.sentences import called, included, installed, judged, planned, tried
from sentient.text import plural

SHOWN = 200
"""Characters of a text that an event quotes; arguments of calls get less."""


@dataclass(frozen=True)
class Event:
    """One thing that happened; `call` is the id of the tool call it is about, if any."""

    checkpoint: str
    at: str
    node: str
    kind: str
    text: str
    call: str = ""


Said = Iterator[tuple[str, str, str]]
"""Kind, text, call id."""


def tell(timeline: Timeline) -> list[Event]:
    """The events that led to where the thread is; abandoned branches are left out."""
    return [
        event
        for moment in reversed(list(timeline.ancestry(timeline.latest)))
        for event in events_of(timeline, moment)
    ]


def events_of(timeline: Timeline, moment: Moment) -> Iterator[Event]:
    """What the step that ended in this checkpoint did, and the question that is open at it."""
    parent, at = timeline.parent(moment), moment.created.isoformat()
    if moment.origin:
        yield Event(moment.id, at, "", "taken", f"goes on from {moment.origin}")
    elif moment.source == "update":
        yield Event(moment.id, at, "", "edited", "the state was changed by hand")
    elif parent is not None:
        for kind, text, call in _said(parent.writes):
            yield Event(moment.id, at, moment.node, kind, text, call)
        if moment.node == "reviewer" and not moment.values.get("findings"):
            yield Event(moment.id, at, moment.node, "review", "accepted")
    if moment is timeline.latest:
        asked = [value for channel, value in moment.writes if channel == "__interrupt__"]
        for kind, text, call in _questions(asked):
            yield Event(moment.id, at, " + ".join(moment.next), kind, text, call)


def messages_in(moment: Moment) -> list[Any]:
    """The messages that the node after this checkpoint added."""
    written = [value for channel, value in moment.writes if channel == "messages"]
    return [m for value in written for m in (value if isinstance(value, list) else [value])]


def _said(writes: tuple[tuple[str, Any], ...]) -> Said:
    written = dict(writes)
    yield from _questions([value for channel, value in writes if channel == "__interrupt__"])
    if "__resume__" in written:
        answers = written["__resume__"]
        yield "answered", _quoted(answers[-1] if isinstance(answers, list) else answers), ""
    for channel, tellers in TELLERS.items():
        if channel in written:
            yield from tellers(written[channel])


def _questions(interrupts: list[Any]) -> Said:
    for raised in interrupts:
        for interrupt in raised if isinstance(raised, (list, tuple)) else [raised]:
            value = getattr(interrupt, "value", interrupt)
            question = value.get("question", value) if isinstance(value, dict) else value
            yield "asked", _quoted(question), ""


def _base(base: dict[str, Any]) -> Said:
    files = f"{plural(base['files'], 'file')}, base {base['commit'][:12]}"
    yield "repository", files + included(base["uncommitted"]), ""


def _environment(environment: dict[str, Any]) -> Said:
    if environment["status"] not in ("off", "none"):
        yield "environment", _quoted(installed(environment)), ""


def _baseline(run: dict[str, Any]) -> Said:
    count = plural(run["collected"], "test")
    flaky = f", {len(run['flaky'])} flaky" if run.get("flaky") else ""
    yield "baseline", f"{count}, {len(run['failing'])} failing{flaky}, {run['seconds']:.1f} s", ""


def _plan(plan: dict[str, Any]) -> Said:
    yield "plan", planned(_quoted(plan["goal"]), plan["suspects"]), ""
    for label, line in in_lines(cast("Plan", plan)):
        yield label, _quoted(line), ""


def _messages(messages: Any) -> Said:
    for message in messages if isinstance(messages, list) else [messages]:
        if isinstance(message, HumanMessage):
            yield "told", _quoted(message.text), ""
        elif isinstance(message, ToolMessage):
            name = f"{message.name}: " if message.name else ""
            yield "answer", name + _quoted(message.text), message.tool_call_id
        elif isinstance(message, AIMessage):
            if message.text.strip():
                yield "said", _quoted(message.text), ""
            for call in message.tool_calls:
                yield "call", called(call["name"], call["args"]), str(call["id"] or "")
            for bad in message.invalid_tool_calls:
                yield "call", f"{bad['name']}: malformed arguments", str(bad["id"] or "")


def _gave_up(reason: str) -> Said:
    if reason:
        yield "gave up", _quoted(reason), ""


def _verdict(verdict: dict[str, Any]) -> Said:
    yield "verdict", judged(verdict), ""


def _findings(findings: list[dict[str, Any]]) -> Said:
    for finding in findings:
        kind = "objection" if finding["blocking"] else "remark"
        yield kind, f"{finding['gate']}: {_quoted(finding['message'])}", ""


def _results(results: list[dict[str, Any]]) -> Said:
    """Told when one is chosen; until then each has its work with it."""
    for place, result in enumerate(results):
        if "work" not in result:
            chosen = "" if place else " (chosen)"
            yield "candidate", f"{result['candidate']}{chosen}: {_quoted(tried(result))}", ""


def _report(report: dict[str, Any]) -> Said:
    yield "report", f"{report['status']}: {_quoted(report['summary'])}", ""


TELLERS: dict[str, Callable[[Any], Said]] = {
    "environment": _environment,
    "base": _base,
    "baseline": _baseline,
    "plan": _plan,
    "messages": _messages,
    "results": _results,
    "gave_up": _gave_up,
    "verdict": _verdict,
    "findings": _findings,
    "report": _report,
}
"""How a node's write to a channel is told, in the order of telling."""


def _quoted(value: object) -> str:
    """The first line of a text, cut to `SHOWN` characters, with a sign that there is more."""
    text = str(value).strip()
    first = text.splitlines()[0] if text else ""
    return first if first == text and len(text) <= SHOWN else f"{first[:SHOWN]} ..."
