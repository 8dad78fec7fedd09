"""Act: carries out the coder's last decision on the desktop, one answer for every call."""

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage

from nodes.context import Step, Update
from nodes.state import State
from tools.changes import changed_files
from tools.errors import ToolError
from tools.toolbox import carry_out


async def act(state: State, step: Step) -> Update:
    """Reads the last message; writes a tool message for each of its calls, and `changed`.

    A call that fails for a reason of its own, or that is malformed, is answered with the reason.
    """
    decision = state["messages"][-1]
    if not isinstance(decision, AIMessage):
        return {}
    desktop = await step.desktop()
    answers: list[AnyMessage] = []
    for number, call in enumerate(decision.tool_calls):
        call_id = call["id"] or f"{decision.id}-{number}"
        try:
            answer = await carry_out(desktop, call["name"], call["args"], _file_name(call_id))
        except ToolError as error:
            answer = f"error: {error}"
        step.emit("answer", name=call["name"], text=answer[:500])
        answers.append(ToolMessage(answer, tool_call_id=call_id, name=call["name"]))
    for bad in decision.invalid_tool_calls:
        reason = f"error: the arguments are not valid JSON: {bad.get('error') or 'unknown reason'}"
        answers.append(ToolMessage(reason, tool_call_id=bad.get("id") or "unknown"))
    return {"messages": answers, **await changed_files(desktop, state["base"]["commit"])}


def _file_name(call_id: str) -> str:
    """A call id as a file name; models choose ids, and may choose badly."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in call_id)[:80]
