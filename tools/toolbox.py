"""The tools a coder may call: their schemas for the model, and their dispatch to the desktop."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from tools import files, shell
from tools.check import Suite, check
from tools.desktop import Desktop, Sink
from tools.errors import ToolError
from tools.files import Outcome
from tools.journal import Journal


class ReadFile(BaseModel):
    """Read a file of the repository, with line numbers; at most 400 lines at a time."""

    path: str
    first: int = Field(1, ge=1, description="first line")
    last: int = Field(0, ge=0, description="last line, 0 for the end")


class Search(BaseModel):
    """Search the repository by an extended regular expression."""

    pattern: str = Field(min_length=1)
    path: str = Field("", description="file or folder to search in, empty for everything")


class Replace(BaseModel):
    """Replace a piece of a file. `old` must be copied exactly and occur once in the file."""

    path: str
    old: str
    new: str


class CreateFile(BaseModel):
    """Write a whole file: a new one, or a small one written anew."""

    path: str
    content: str


class Shell(BaseModel):
    """Run a bash command in the repository (no network)."""

    command: str = Field(min_length=1)
    timeout_s: float = Field(shell.TIMEOUT_S, gt=0, le=600)


class RunTests(BaseModel):
    """Run the repository's tests with its own runner; tells what of each failing one is wrong."""

    tests: list[Annotated[str, Field(max_length=300)]] = Field(
        [], max_length=50, description="ids of tests, empty for all"
    )


class HandIn(BaseModel):
    """Say that the work is done, or that it cannot be done; the tests are then run by others."""

    summary: str
    impossible: bool = Field(
        default=False, description="true when the task cannot be solved; say why in the summary"
    )


LIMITS = {"path": 4096, "pattern": 4096, "command": 100_000}
"""Bytes an argument may have, by its name; for any other the limit of a file holds."""

TOOLS: dict[str, type[BaseModel]] = {
    "read_file": ReadFile,
    "search": Search,
    "replace": Replace,
    "create_file": CreateFile,
    "run_tests": RunTests,
    "shell": Shell,
    "hand_in": HandIn,
}
"""Tools by the name the model calls them."""


def tool_schemas() -> list[dict[str, Any]]:
    """The tools in the form of OpenAI's API."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": (model.__doc__ or "").strip(),
                "parameters": model.model_json_schema(),
            },
        }
        for name, model in TOOLS.items()
    ]


def _refuse_unsendable(call: BaseModel) -> None:
    """Models may write anything that JSON can hold, a lone surrogate for instance."""
    for name, value in call:
        if not isinstance(value, str):
            continue
        try:
            size = len(value.encode())
        except UnicodeEncodeError as error:
            raise ToolError(f"{name} holds a character that is no text: {error.reason}") from error
        if size > LIMITS.get(name, files.FILE_LIMIT) or "\0" in value:
            raise ToolError(f"{name} has {size} bytes, or holds a NUL; it cannot be used")


@dataclass(frozen=True)
class Done:
    """What a call answers; of a test run also a name for its files and failures together."""

    answer: str
    run: str = ""


async def carry_out(
    journal: Journal,
    name: str,
    args: Mapping[str, Any],
    call: str,
    suite: Suite,
    on_output: Sink | None = None,
) -> Done:
    """Carry out one tool call under the name `call`, once.

    `on_output` gets what a command prints while it runs.

    Calls that are wrong, or fail for a reason of their own, are answered with the reason.
    """
    try:
        tool = _checked(name, args)
        if isinstance(tool, RunTests):
            return Done(*await check(journal, suite, tool.tests, call))
    except ToolError as error:
        return Done(f"error: {error}")
    if isinstance(tool, Shell):
        limit = tool.timeout_s
        return Done(
            await shell.run_shell(
                journal, tool.command, call=call, timeout_s=limit, on_output=on_output
            )
        )
    decide = partial(_decide, journal.desktop, tool)
    return Done(await journal.once(call, [name, dict(args)], decide))


def _checked(name: str, args: Mapping[str, Any]) -> BaseModel:
    if name not in TOOLS:
        raise ToolError(f"there is no tool {name!r}; there are {', '.join(TOOLS)}")
    try:
        tool = TOOLS[name].model_validate(dict(args))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ToolError(f"wrong arguments for {name}: {problems}") from error
    _refuse_unsendable(tool)
    return tool


async def _decide(desktop: Desktop, tool: BaseModel) -> Outcome:
    match tool:
        case ReadFile():
            return await files.read_file(desktop, tool.path, tool.first, tool.last)
        case Search():
            return await files.search(desktop, tool.pattern, tool.path)
        case Replace():
            return await files.replace_text(desktop, tool.path, tool.old, tool.new)
        case CreateFile():
            return await files.create_file(tool.path, tool.content)
        case _:
            return Outcome("handed in")
