"""The tools a coder may call: their schemas for the model, and their dispatch to the desktop."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from tools import files, shell
from tools.desktop import Desktop
from tools.errors import ToolError


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
    """Run a bash command in the repository (no network). Use it to run tests: `pytest -q ...`."""

    command: str = Field(min_length=1)
    timeout_s: float = Field(shell.TIMEOUT_S, gt=0, le=600)


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


async def carry_out(desktop: Desktop, name: str, args: Mapping[str, Any], call_id: str) -> str:
    """Carry out one tool call and return its answer.

    Raises:
        ToolError: the tool or its arguments are wrong, or it failed for a reason of the call's.
    """
    if name not in TOOLS:
        raise ToolError(f"there is no tool {name!r}; there are {', '.join(TOOLS)}")
    try:
        call = TOOLS[name].model_validate(dict(args))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ToolError(f"wrong arguments for {name}: {problems}") from error
    _refuse_unsendable(call)
    match call:
        case ReadFile():
            return await files.read_file(desktop, call.path, call.first, call.last)
        case Search():
            return await files.search(desktop, call.pattern, call.path)
        case Replace():
            return await files.replace_text(desktop, call.path, call.old, call.new)
        case CreateFile():
            return await files.create_file(desktop, call.path, call.content)
        case Shell():
            return await shell.run_shell(
                desktop, call.command, call_id=call_id, timeout_s=call.timeout_s
            )
        case _:
            return "handed in"
