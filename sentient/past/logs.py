"""`sentient logs`: the story of a thread on the terminal, and all that one command printed."""

from contextlib import AsyncExitStack
from datetime import datetime

from rich.console import Console
from rich.markup import escape

from nodes.desktops import OWNER, ROLE
from sentient.past.compare import desktop_at
from sentient.past.story import Event, messages_in
from sentient.past.timeline import Moment, Timeline
from sentient.text import plural, printable
from tools.connection import Connection
from tools.desktop import Desktop, list_desktops
from tools.errors import ToolError, UsageError
from tools.journal import JOURNALS
from tools.settings import Settings

STYLES = {"asked": "yellow", "objection": "red", "gave up": "red", "verdict": "bold"}


def print_story(timeline: Timeline, events: list[Event], console: Console) -> None:
    """Write an event a line, under a heading for each day, in local time."""
    day = ""
    for event in events:
        at = datetime.fromisoformat(event.at).astimezone()
        if f"{at:%Y-%m-%d}" != day:
            day = f"{at:%Y-%m-%d}"
            console.print(f"[dim]{day}[/]")
        text = escape(printable(f"{event.kind}: {event.text}"))
        style = STYLES.get(event.kind)
        line = f"[{style}]{text}[/]" if style else text
        call = f"  [dim]{escape(printable(event.call))}[/]" if event.call else ""
        console.print(f"[dim]{at:%H:%M:%S}[/]  {event.node:<9} {line}{call}")
    branches = len(timeline.moments) - len(list(timeline.ancestry(timeline.latest)))
    if branches:
        rest = f"{plural(branches, 'checkpoint')} of abandoned branches left out"
        console.print(f"[dim]{rest}: sentient history {escape(timeline.thread)}[/]")


async def read_call_log(settings: Settings, timeline: Timeline, call: str) -> bytes:
    """Everything a shell command printed, from the snapshot taken after it, or while it runs.

    Raises:
        UsageError: the thread made no such call, it was no shell command, or its desktop is paused.
        EnvironmentFaultError: the snapshot is gone from the server.
    """
    number = _number(timeline, call)
    answered = _answered(timeline, call)
    async with AsyncExitStack() as stack:
        if answered is None:
            before, desktop = timeline.latest, await _working(settings, timeline, call)
        else:
            before = timeline.parent(answered) or answered
            desktop = await stack.enter_async_context(desktop_at(settings, timeline, answered))
        log = await _log(desktop, before, number)
        if log is None:
            hint = f"its answer is in: sentient logs {timeline.thread} --json"
            raise UsageError(f"call {call} left no log: only shell commands do", hint=hint)
        return await desktop.fs.read_bytes(log)


async def _log(desktop: Desktop, before: Moment, number: int) -> str | None:
    """Where the output is of the call with this number, carried out after this checkpoint."""
    ref = before.values.get("desktop")
    started = f"{ref['head'] if ref else 'none'}-act-"
    try:
        journals = await desktop.fs.list_dir(JOURNALS)
    except ToolError:
        return None
    for journal in journals:
        path = f"{JOURNALS}/{journal.name}/{number:03}/log"
        if journal.name.startswith(started) and await desktop.fs.exists(path):
            return path
    return None


def _number(timeline: Timeline, call: str) -> int:
    """The place of a call in the decision that made it.

    Raises:
        UsageError: there is no such call.
    """
    for moment in timeline.moments:
        for message in messages_in(moment):
            ids = [made["id"] for made in getattr(message, "tool_calls", [])]
            if call in ids:
                return ids.index(call)
    hint = f"ids are at the end of the lines of: sentient logs {timeline.thread}"
    raise UsageError(f"thread {timeline.thread} made no call {call!r}", hint=hint)


def _answered(timeline: Timeline, call: str) -> Moment | None:
    """Where a call was carried out, on the current branch if it was there; None if it was not."""
    for moment in [*timeline.ancestry(timeline.latest), *timeline.moments]:
        parent = timeline.parent(moment)
        for message in messages_in(parent) if parent and moment.source == "loop" else ():
            if getattr(message, "tool_call_id", None) == call:
                return moment
    return None


async def _working(settings: Settings, timeline: Timeline, call: str) -> Desktop:
    """The desktop where a call is being carried out; a paused one is not woken."""
    role = f"work-{timeline.candidate}" if timeline.candidate else "work"
    connection, wanted = Connection(settings), {OWNER: timeline.thread, ROLE: role}
    async for desktop_id in list_desktops(connection, wanted, running=True):
        return await Desktop.connect(desktop_id, connection=connection)
    hint = f"go on with: sentient resume {timeline.thread}"
    paused = [desktop_id async for desktop_id in list_desktops(connection, wanted)]
    where = ", and its desktop is paused" if paused else " yet"
    raise UsageError(f"call {call} was not carried out{where}", hint=hint)
