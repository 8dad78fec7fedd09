"""The journal of a node: what it did in its desktop since its checkpoint, kept in that desktop.

A node that dies leaves files that are its checkpoint's no more. Its successor reads here how far
it came: what was finished is answered from the journal, a command that still runs is waited for,
and one that was begun and whose end nobody saw makes the outcome unknown. A journal belongs to one
piece of work on one checkpoint and is part of the desktop's files, hence of its snapshots.

Calls are made one after another, so the existence of a later one says that an edit was made.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import resources

from pydantic import BaseModel, ValidationError

from tools.desktop import Desktop, Execution, Sink
from tools.errors import EnvironmentFaultError, SentientError, ToolError
from tools.files import FILE_LIMIT, Outcome
from tools.layout import CONTROL, MARKS, PROGRAMS, REPO, install_programs

JOURNALS = f"{CONTROL}/journal"

KEPT_JOURNALS = 20
"""How many journals stay for their logs, at least; at three times as many, older ones go."""

GRACE_S = 15
"""How much later than the command's own timeout the server ends it with all it started."""

FENCED, DIVERGED, UNKNOWN, IMPOSSIBLE = 90, 91, 92, 93
"""Exit codes of `once.sh`."""

CODE = re.compile(r"^sentient:(timeout|[0-9]{1,3})$", re.MULTILINE)
CODE_LINES = [f"\nsentient:{code}\n" for code in ("timeout", *range(256))]
"""How it says with what a command ended."""

PROGRAM = resources.files("tools.inside").joinpath("once.sh").read_text(encoding="utf-8")


class OutcomeUnknownError(SentientError):
    """OUTCOME_UNKNOWN: a command was begun, and nobody saw its end."""


class ReplayDivergedError(SentientError):
    """REPLAY_DIVERGED: something else was done under the name of this call; it is not done."""


class Entry(BaseModel):
    """What a call that is no command answers, and what it writes before that is true."""

    digest: str
    answer: str
    path: str = ""
    content: str = ""


@dataclass(frozen=True)
class Ended:
    """A command's end: its output, without the middle if that is long, and its exit code."""

    output: str
    code: int | None
    """None when its time ran out."""


class Journal:
    """Carries out calls, each once; `confirm` is asked before anything is done without a mark.

    Every command gets `env`, which may hold secrets (`tools/secrets.py`): it is written nowhere.
    """

    def __init__(
        self,
        desktop: Desktop,
        mark: str,
        confirm: Callable[[], Awaitable[None]],
        *,
        adopted: bool,
        env: Mapping[str, str] | None = None,
    ) -> None:
        _, head, work, *_ = mark.split(".")
        self.desktop = desktop
        self._folder, self._mark = f"{JOURNALS}/{head or 'none'}-{work}", f"{MARKS}/{mark}"
        self._confirm, self._adopted = confirm, adopted
        self._env = dict(env or {})
        self._begun: set[str] | None = None if adopted else set()

    async def begun(self) -> set[str]:
        """The names of the calls that a dead predecessor began or finished."""
        if self._begun is None:
            try:
                entries = await self.desktop.fs.list_dir(self._folder)
            except ToolError:
                entries = []
            names = (entry.name for entry in entries if not entry.name.startswith("."))
            self._begun = {name.removesuffix(".json") for name in names}
        return self._begun

    async def once(
        self, call: str, operation: object, decide: Callable[[], Awaitable[Outcome]]
    ) -> str:
        """Answer a call that reads or edits files; `decide` finds out what to write and answer.

        The decision is in the journal before anything is written, so it can be written again.
        Names of calls sort in the order in which they are made.

        Raises:
            ReplayDivergedError: another operation was carried out under this name.
        """
        digest = digest_of(operation)
        entry = await self._read(call) if call in await self.begun() else None
        if entry is None:
            entry = _entry(digest, await _decided(decide))
            await self._save(call, entry)
        elif entry.digest != digest:
            raise _diverged(call)
        elif any(name > call for name in await self.begun()):
            return entry.answer
        if entry.path:
            try:
                await self.desktop.fs.write_file(entry.path, entry.content)
            except ToolError as error:
                entry = _entry(digest, Outcome(f"error: {error}"))
                await self._save(call, entry)
        return entry.answer

    async def run(
        self,
        call: str,
        command: str,
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        shown: int | None = None,
        on_output: Sink | None = None,
    ) -> Ended:
        """Run a shell command in `REPO` to its end, or wait for the end of the one that runs.

        `shown` bounds the output, in bytes; without it all goes to `on_output` as it comes, with it
        the end of what is new, twice a second.

        Raises:
            OutcomeUnknownError: it was begun, and is neither running nor known to have ended.
            ReplayDivergedError: another command was run under this name.
        """
        half = "all" if shown is None else str(shown // 2)
        arguments = [f"{self._folder}/{call}", digest_of(command), self._mark]
        arguments += [f"{timeout_s:.3f}", half, str(KEPT_JOURNALS), PROGRAMS]
        line = f"set -- {shlex.join(arguments)}\n{PROGRAM}"
        if self._env:
            await install_programs(self.desktop)
        for _ in range(2):
            done = await self.desktop.exec(
                line,
                cwd=REPO,
                env={**(env or {}), **self._env, "ONCE_COMMAND": command},
                timeout_s=timeout_s + GRACE_S,
                on_stdout=on_output if shown is None else None,
                on_stderr=WithoutCode(on_output) if on_output and shown is not None else None,
            )
            if done.exit_code != FENCED:
                return await self._ended(call, done)
            await self._confirm()
        raise EnvironmentFaultError("the desktop loses its marks as soon as they are made")

    async def _ended(self, call: str, done: Execution) -> Ended:
        if done.exit_code == UNKNOWN:
            raise OutcomeUnknownError(f"OUTCOME_UNKNOWN: nobody saw the end of command {call}")
        if done.exit_code == DIVERGED:
            raise _diverged(call)
        if done.exit_code == IMPOSSIBLE:
            raise EnvironmentFaultError(f"cannot begin a command: {done.stderr.strip()[-300:]}")
        codes = CODE.findall(done.stderr)
        if done.ok and codes:
            return Ended(done.stdout, None if codes[-1] == "timeout" else int(codes[-1]))
        # the command has ended what ran it, or the server has ended both
        log = await self.desktop.exec("tail", ["-c", "3000", f"{self._folder}/{call}/log"])
        return Ended(log.stdout, None if done.timed_out else done.exit_code)

    async def _read(self, call: str) -> Entry | None:
        """The entry of a call; None when its writer died over it, before any effect."""
        try:
            data = await self.desktop.fs.read_bytes(f"{self._folder}/{call}.json", 4 * FILE_LIMIT)
            return Entry.model_validate_json(data)
        except (ToolError, ValidationError):
            return None

    async def _save(self, call: str, entry: Entry) -> None:
        await self.desktop.fs.write_file(f"{self._folder}/{call}.json", entry.model_dump_json())


class WithoutCode:
    """Passes output on, wherever it is cut, but not the line with the exit code that ends it."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._held = sink, ""

    def __call__(self, piece: str) -> None:
        """Take the next piece; what that line may begin with waits for what comes after it."""
        text = self._held + piece
        starts = range(max(0, len(text) - len(max(CODE_LINES, key=len))), len(text))
        held = next((at for at in starts if _begins_code(text[at:])), len(text))
        self._held = text[held:]
        if held:
            self._sink(text[:held])


def _begins_code(text: str) -> bool:
    return text[0] == "\n" and any(line.startswith(text) for line in CODE_LINES)


async def _decided(decide: Callable[[], Awaitable[Outcome]]) -> Outcome:
    try:
        return await decide()
    except ToolError as error:
        return Outcome(f"error: {error}")


def _entry(digest: str, outcome: Outcome) -> Entry:
    return Entry(digest=digest, answer=outcome.answer, path=outcome.path, content=outcome.content)


def digest_of(operation: object) -> str:
    """A name for plain data: the same for equal data, another for other data."""
    text = json.dumps(operation, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _diverged(call: str) -> ReplayDivergedError:
    return ReplayDivergedError(
        f"REPLAY_DIVERGED: call {call} did something else before; it is not carried out",
        hint="go on from the checkpoint before: sentient history, sentient resume --from",
    )
