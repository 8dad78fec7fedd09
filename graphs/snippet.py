"""The single-shot graph: run one program in an ephemeral desktop, which is killed at once."""

from typing import Any, Literal, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from tools.connection import Connection
from tools.desktop import Desktop
from tools.e2b_sandbox_tool import E2BSandboxToolInput, run_script
from tools.settings import Settings


class SnippetInput(TypedDict):
    """A whole program in one of the two languages."""

    language: Literal["python", "node"]
    script: str


class SnippetState(SnippetInput, total=False):
    """The program and what it left."""

    stdout: str
    stderr: str
    exit_code: int
    timed_out: bool


def make_graph(settings: Settings | None = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Compile the graph; the desktop lives as long as its one node."""
    connection = Connection(settings or Settings())

    async def execute(state: SnippetState) -> dict[str, Any]:
        call = E2BSandboxToolInput(language=state["language"], script=state["script"])
        async with await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop:
            done = await run_script(desktop, call.language, call.script)
        return {
            "stdout": done.stdout,
            "stderr": done.stderr,
            "exit_code": done.exit_code,
            "timed_out": done.timed_out,
        }

    builder = StateGraph(SnippetState, input_schema=SnippetInput)
    builder.add_node("execute", execute)
    builder.add_edge(START, "execute")
    builder.set_finish_point("execute")
    return builder.compile(name="snippet")


graph = make_graph()
"""The default instance, for LangGraph Studio and the Agent Server."""
