"""`sentient history`, `diff`, `logs` and `fork`: a thread's past."""

import itertools
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from nodes.candidates import MOST
from sentient.opening import open_graph, saver_of
from sentient.options import (
    CHECKPOINT_HELP,
    Checkpoints,
    Json,
    Thread,
    read_settings,
    thread_id,
    words,
)
from sentient.past import travel
from sentient.past.compare import BASE, compare
from sentient.past.history import history_rows, print_history
from sentient.past.logs import print_story, read_call_log
from sentient.past.story import tell
from sentient.past.timeline import Timeline, read_timeline
from sentient.runs import Runs
from sentient.signals import Stop
from sentient.streams import Forgiving
from sentient.text import print_json, printable
from tools.errors import UsageError
from tools.patch import ChangedFile, Patch, apply_to_folder


def history(
    thread: Thread,
    limit: Annotated[int, typer.Option(min=0, help="Newest ones only; 0 = all.")] = 0,
    checkpoints: Checkpoints = "",
    json: Json = False,
) -> None:
    """List a thread's checkpoints, newest first, with their branches."""
    timeline = Stop().run(_timeline(Runs(read_settings(checkpoints=checkpoints)), thread))
    if json:
        print_json(history_rows(timeline, limit))
    else:
        print_history(timeline, limit, Console(highlight=False))


def fork(
    thread: Thread,
    checkpoint: Annotated[str, typer.Option("--from", help=CHECKPOINT_HELP)],
    new: Annotated[
        str, typer.Option("--thread", help="Id of the new thread.", callback=thread_id)
    ] = "",
    task: Annotated[
        str, typer.Option(help="What the new thread is to do instead.", callback=words)
    ] = "",
    checkpoints: Checkpoints = "",
    json: Json = False,
) -> None:
    """Make a new thread from a checkpoint, with its files; the original stays as it is."""
    runs = Runs(read_settings(checkpoints=checkpoints))
    runs.row(thread)
    new = new or _free_name(runs, thread)
    moment = Stop().run(travel.fork(runs, thread, checkpoint, new, task))
    if json:
        taken_from = {"thread": thread, "checkpoint": moment.id}
        print_json({"thread": new, "taken_from": taken_from, "next": list(moment.next)})
        return
    coming = " + ".join(moment.next)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{escape(printable(new))} starts where {escape(printable(thread))} was at")
    console.print(f"  checkpoint {moment.id}, before {coming}")
    console.print(f"go on with: sentient resume {escape(printable(new))}")


def diff(
    thread: Thread,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="From checkpoint A to B; base and latest are known."),
    ] = None,
    at: Annotated[str, typer.Option(metavar="CHECKPOINT", help="From the base to there.")] = "",
    apply: Annotated[str, typer.Option(help="Folder to apply the patch to.")] = "",
    checkpoints: Checkpoints = "",
    json: Json = False,
) -> None:
    """Print a thread's patch, as git apply takes it, or the files between two checkpoints."""
    if between and at:
        raise UsageError("--at and --between exclude each other")
    if apply and not Path(apply).is_dir():
        raise UsageError(f"no such folder: {apply}")
    runs = Runs(read_settings(checkpoints=checkpoints))
    span = between or ((BASE, at) if at else None)
    patch = Stop().run(_compared(runs, thread, *span) if span else _delivered(runs, thread))
    if apply:
        apply_to_folder(patch.text, Path(apply))
        Forgiving(sys.stderr).write(f"applied to {printable(apply)}\n")
    if json:
        files = [file.model_dump() for file in patch.files]
        print_json({"thread": thread, "patch": patch.text, "files": files, "applied": apply})
    elif not apply:
        sys.stdout.buffer.write(patch.text.encode("utf-8", "surrogateescape"))


async def _compared(runs: Runs, thread: str, earlier: str, later: str) -> Patch:
    timeline = await _timeline(runs, thread)
    return await compare(runs.settings, timeline, earlier, later)


async def _delivered(runs: Runs, thread: str) -> Patch:
    """The patch of the report, or the best one so far."""
    state = (await runs.look(thread)).state
    found = state.get("report") or state.get("best")
    text = runs.ledger.patch(found["patch"]) if found else None
    if found is None or text is None:
        hint = f"the files as they are: sentient diff {thread} --at latest"
        raise UsageError(f"thread {thread} has no patch (yet)", hint=hint)
    return Patch(text, [ChangedFile.model_validate(file) for file in found["files"]])


def logs(
    thread: Thread,
    call: Annotated[str, typer.Option(metavar="ID", help="Only what this command printed.")] = "",
    candidate: Annotated[
        int, typer.Option(min=0, max=MOST, help="What this one of several candidates did.")
    ] = 0,
    checkpoints: Checkpoints = "",
    json: Json = False,
) -> None:
    """Tell what happened in a thread, oldest first; or print the whole log of one shell call."""
    runs = Runs(read_settings(checkpoints=checkpoints))
    timeline = Stop().run(_timeline(runs, thread, candidate))
    if not call:
        events = tell(timeline)
        if json:
            print_json([asdict(event) for event in events])
        else:
            print_story(timeline, events, Console(highlight=False, soft_wrap=True))
        return
    log = Stop().run(read_call_log(runs.settings, timeline, call))
    if json:
        print_json({"thread": thread, "call": call, "log": log.decode("utf-8", "replace")})
    elif sys.stdout.isatty():
        sys.stdout.write(printable(log.decode("utf-8", "replace")))
    else:
        sys.stdout.buffer.write(log)


def _free_name(runs: Runs, thread: str) -> str:
    names = (f"{thread}-fork{number}" for number in itertools.count(1))
    return next(name for name in names if not runs.ledger.thread(name))


async def _timeline(runs: Runs, thread: str, candidate: int = 0) -> Timeline:
    runs.row(thread)
    async with open_graph(runs.settings) as graph:
        return await read_timeline(saver_of(graph), thread, candidate)
