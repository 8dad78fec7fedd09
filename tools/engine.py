"""Runs the offline repair engine (`tools.repair`) inside a desktop and reads what it found."""

import asyncio
import shlex
from collections.abc import Callable, Sequence
from importlib import resources
from importlib.resources.abc import Traversable

from pydantic import BaseModel, ValidationError

from tools.desktop import Desktop
from tools.errors import EnvironmentFaultError, ToolError
from tools.journal import Journal
from tools.layout import CONTROL, REPO

PACKAGE = "sentient_repair"
"""The engine's name in the desktop, where a repository may have a package `tools` of its own."""

CALL = "search"
"""The engine's name in the journal."""

RESULT_LIMIT = 16 << 20


class Edit(BaseModel):
    """Replace `old`, which occurs exactly once in the file, by `new`."""

    path: str
    old: str
    new: str


class Fix(BaseModel):
    """One repaired fault: its edits and the failing tests that pass with them."""

    tests: list[str] = []
    operator: str = ""
    path: str = ""
    line: int = 0
    edits: list[Edit] = []
    alternatives: int = 0
    ambiguous: bool = False


class RepairResult(BaseModel):
    """`status` is fixed, partial, none, nothing-failing or collection-error."""

    status: str
    fixes: list[Fix] = []
    fixed: list[str] = []
    tried: int = 0
    candidates: int = 0
    seconds: float = 0
    message: str = ""


async def repair(
    journal: Journal,
    test_args: Sequence[str],
    *,
    budget_s: float,
    max_candidates: int,
    protect: Sequence[str] = (),
    on_event: Callable[[str], None] | None = None,
) -> RepairResult:
    """Search for edits that make failing tests pass; the repository itself is not changed.

    `on_event` gets the engine's progress, JSON lines in pieces of any size.

    A search that a process which died has begun is waited for.

    Raises:
        EnvironmentFaultError: the engine died without a result.
        OutcomeUnknownError: the search was begun, and is not running any more.
    """
    result = f"{CONTROL}/repair.json"
    options = ["--root", REPO, "--out", result]
    options += ["--budget-s", f"{budget_s:g}", "--max-candidates", str(max_candidates)]
    options += [word for pattern in protect for word in ("--protect", pattern)]
    if CALL not in await journal.begun():
        files = await asyncio.to_thread(_package_files)
        await journal.desktop.fs.write_files(
            {f"{CONTROL}/engine/{path}": data for path, data in files}
        )
    ended = await journal.run(
        CALL,
        f"rm -f {result}; exec {shlex.join(['python', '-m', PACKAGE, *options, '--', *test_args])}",
        env={"PYTHONPATH": f"{CONTROL}/engine", "PYTHONHASHSEED": "0"},
        timeout_s=budget_s * 3 + 120,
        on_output=on_event,
    )
    try:
        return RepairResult.model_validate_json(await _read_result(journal.desktop, result))
    except ToolError as error:
        raise EnvironmentFaultError(
            f"the repair engine left no result (exit code {ended.code}): {ended.output[-300:]}"
        ) from error
    except ValidationError as error:
        raise EnvironmentFaultError(f"the repair engine's result is malformed: {error}") from error


async def _read_result(desktop: Desktop, path: str) -> bytes:
    """The result without secrets, which from now on the file does not hold either."""
    data = await desktop.fs.read_unchanged(path, RESULT_LIMIT)
    shown = desktop.sink.data(data)
    if shown != data:
        await desktop.fs.write_file(path, shown)
    return shown


def _package_files() -> list[tuple[str, bytes]]:
    return list(_walk(resources.files("tools.repair"), PACKAGE))


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        path = f"{prefix}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            found += _walk(entry, path)
        elif entry.name.endswith(".py"):
            found.append((path, entry.read_bytes()))
    return found
