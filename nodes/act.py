"""Act: carries out the coder's last decision on the desktop, one answer for every call."""

from functools import partial

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage

from nodes import events
from nodes.context import Step, Update
from nodes.state import State
from nodes.stuck import note, stuck
from tools.changes import changed_files
from tools.check import Suite
from tools.journal import Journal
from tools.runners import runner_of
from tools.toolbox import carry_out


async def act(state: State, step: Step) -> Update:
    """Reads the last message; writes a tool message for each of its calls, and `changed`.

    Each call is made once, also when this process dies before the checkpoint.
    """
    decision = state["messages"][-1]
    if not isinstance(decision, AIMessage):
        return {}
    calls = [[call["name"], call["args"]] for call in decision.tool_calls]
    suite = Suite(
        runner_of(state.get("tests", "")),
        step.settings.suite_timeout_s,
        step.settings.test_timeout_s,
    )
    answers = await step.once(calls, partial(_carry_out, decision, step, suite))
    desktop = await step.desktop()
    changes = await changed_files(desktop, state["base"]["commit"])
    return {"messages": answers, **changes, **_stopped(state, answers)}


def _stopped(state: State, answers: list[AnyMessage]) -> Update:
    """A coder that goes round in circles is told so once; then its attempt is handed in."""
    reason, was_told = stuck([*state["messages"], *answers], state["steps"])
    if not reason or state["handed_in"]:
        return {}
    if not was_told:
        return {"messages": [*answers, note(reason)]}
    doubt = f"attempt {state['attempt']} was handed in, as the coder did not get on: {reason}"
    return {"handed_in": True, "doubts": [*state.get("doubts", []), doubt]}


def _tell_output(step: Step, call: str, text: str) -> None:
    step.emit(events.Output(id=call, text=text))


async def _carry_out(
    decision: AIMessage, step: Step, suite: Suite, journal: Journal
) -> list[AnyMessage]:
    answers: list[AnyMessage] = []
    for number, call in enumerate(decision.tool_calls):
        tell = partial(_tell_output, step, call["id"] or "")
        done = await carry_out(journal, call["name"], call["args"], f"{number:03}", suite, tell)
        step.emit(events.Answer(id=call["id"] or "", name=call["name"], text=done.answer))
        call_id = call["id"] or f"{decision.id}-{number}"
        answered = ToolMessage(
            done.answer, tool_call_id=call_id, name=call["name"], artifact=done.run or None
        )
        answers.append(answered)
    for bad in decision.invalid_tool_calls:
        reason = f"error: the arguments are {bad.get('error') or 'not valid JSON'}"
        answers.append(ToolMessage(reason, tool_call_id=bad.get("id") or "unknown"))
    return answers
