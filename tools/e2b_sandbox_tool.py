"""`E2BSandboxTool`: the one tool through which any agent executes a snippet in a desktop."""

from typing import Any, Literal

from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr

from tools.connection import Connection
from tools.desktop import Desktop, Execution, Sink
from tools.layout import CONTROL
from tools.settings import Settings

INTERPRETERS = {"python": ("python", "py"), "node": ("node", "mjs")}


class E2BSandboxToolInput(BaseModel):
    """A whole program in one of the two languages."""

    language: Literal["python", "node"]
    script: str


async def run_script(
    desktop: Desktop,
    language: Literal["python", "node"],
    script: str,
    *,
    timeout_s: float = 60,
    on_stdout: Sink | None = None,
    on_stderr: Sink | None = None,
) -> Execution:
    """Run a program in a desktop; files it writes and packages it finds are the desktop's."""
    interpreter, suffix = INTERPRETERS[language]
    path = f"{CONTROL}/snippet.{suffix}"
    await desktop.fs.write_file(path, script)
    return await desktop.exec(
        interpreter, [path], timeout_s=timeout_s, on_stdout=on_stdout, on_stderr=on_stderr
    )


class E2BSandboxTool(BaseTool):
    """Runs Python or Node programs in an isolated desktop and returns what they print.

    With `desktop` it uses that one and files persist between calls; without, each call gets an
    ephemeral desktop that is killed at once.
    """

    name: str = "e2b_sandbox"
    description: str = (
        "Run a Python or Node program in an isolated Linux sandbox without network. "
        "Returns stdout, then stderr and the exit code when they matter."
    )
    args_schema: type[BaseModel] = E2BSandboxToolInput
    timeout_s: float = Field(60, gt=0)

    _desktop: Desktop | None = PrivateAttr(None)
    _connection: Connection | None = PrivateAttr(None)

    def __init__(
        self, *, desktop: Desktop | None = None, connection: Connection | None = None, **data: Any
    ) -> None:
        super().__init__(**data)
        self._desktop, self._connection = desktop, connection

    def _run(self, *_: Any, **__: Any) -> str:
        raise RuntimeError("e2b_sandbox is asynchronous: await tool.ainvoke({...})")

    async def _arun(self, language: Literal["python", "node"], script: str) -> str:
        if self._desktop is not None:
            return _answer(
                await run_script(self._desktop, language, script, timeout_s=self.timeout_s)
            )
        connection = self._connection or Connection(Settings())
        async with await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop:
            return _answer(await run_script(desktop, language, script, timeout_s=self.timeout_s))


def _answer(execution: Execution) -> str:
    """Output for an agent: stderr and the reason of the end only when something went wrong."""
    if execution.ok:
        return execution.stdout
    end = "time ran out" if execution.timed_out else f"exit code {execution.exit_code}"
    return f"{execution.stdout}\n{execution.stderr}\n[{end}]".strip()
