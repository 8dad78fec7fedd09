"""`sentient fix` and `sentient resume`: work on a thread, to its end or to a question."""

import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nodes.state import Input
from sentient.draining import Drain
from sentient.endings import Ending
from sentient.following import Style, following, print_line
from sentient.options import (
    CHECKPOINT_HELP,
    Checkpoints,
    Json,
    Source,
    Thread,
    read_settings,
    thread_id,
    words,
)
from sentient.past.travel import rewind
from sentient.reports import as_json, exit_code, print_ending
from sentient.run_options import (
    PRICE_HELP,
    ApplyToSource,
    Candidates,
    Install,
    Jsonl,
    NoInstall,
    RoleBudget,
    Secrets,
    Verbose,
    chosen_install,
    prices,
    role_bounds,
)
from sentient.runs import Runs, new_thread_id
from sentient.signals import Stop
from sentient.streams import READER_GONE, ReaderGoneError, abandon
from sentient.text import print_json
from tools.errors import ExitCode, UsageError
from tools.patch import apply_to_folder


def fix(
    source: Source,
    task: Annotated[str, typer.Option(help="What to do, in words, or @FILE.", callback=words)] = "",
    tests: Annotated[str, typer.Option(help="Command of pytest, unittest or node --test.")] = "",
    install: Install = "",
    no_install: NoInstall = False,
    model: Annotated[str, typer.Option(help="Model name; none = offline engine.")] = "",
    max_attempts: Annotated[int, typer.Option(min=1, max=20, help="Rounds of repair.")] = 3,
    candidates: Candidates = 0,
    max_tokens: Annotated[int, typer.Option(min=0, help="Model tokens; 0 = any.")] = 0,
    max_seconds: Annotated[float, typer.Option(min=0, help="Seconds of work; 0 = any.")] = 0,
    budget_usd: Annotated[float, typer.Option(min=0, help="Dollars; 0 = any.")] = 0,
    price_in: Annotated[float | None, typer.Option(min=0, help=PRICE_HELP)] = None,
    price_out: Annotated[float | None, typer.Option(min=0, help=PRICE_HELP)] = None,
    role_budget: RoleBudget = None,
    approve: Annotated[bool, typer.Option("--approve", help="Ask before work starts.")] = False,
    ask: Annotated[bool, typer.Option("--ask", help="Ask rather than give up.")] = False,
    apply: ApplyToSource = False,
    thread: Annotated[str, typer.Option(help="Id of the new thread.", callback=thread_id)] = "",
    secret: Secrets = None,
    checkpoints: Checkpoints = "",
    verbose: Verbose = False,
    jsonl: Jsonl = False,
    json: Json = False,
) -> None:
    """Repair a repository: make its failing tests pass, or do a task, and verify the patch."""
    settings = read_settings(model=model, checkpoints=checkpoints, secrets=secret)
    thread = thread or new_thread_id(source)
    given = Input(
        source=source,
        task=_task(task),
        tests=tests,
        install=chosen_install(install, off=no_install),
        model=settings.model_name,
        max_attempts=max_attempts,
        candidates=candidates,
        max_tokens=max_tokens,
        max_seconds=max_seconds,
        max_usd=budget_usd,
        role_bounds=role_bounds(role_budget),
        approve=approve,
        ask=ask,
        **prices(price_in, price_out),
    )
    if apply and not Path(source).is_dir():
        raise UsageError(f"--apply needs a folder, {source!r} is none")
    runs, style = Runs(settings), Style(verbose=verbose, jsonl=jsonl, json=json)
    ending, stop = _followed(style, thread, partial(runs.start, given, thread))
    _finish(runs, ending, stop, style, apply_to=Path(source) if apply else None)


def _followed(
    style: Style, thread: str, work: Callable[..., Coroutine[Any, Any, Ending]]
) -> tuple[Ending, Drain]:
    """Run a thread, shown as asked for; the first signal lets it end its step."""
    with following(style) as listen:
        stop = Drain(listen, f"; go on with: sentient resume {thread}")
        return stop.run(work(listen=stop.tell, control=stop.control)), stop


def _task(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the task from {text[1:]}: {error}") from error


def resume(
    thread: Thread,
    answer: Annotated[
        str | None, typer.Option(help="A word, or JSON, as `sentient show` says.", callback=words)
    ] = None,
    back_to: Annotated[str, typer.Option("--from", help=CHECKPOINT_HELP)] = "",
    apply: Annotated[str, typer.Option(help="Folder to write a verified patch to.")] = "",
    secret: Secrets = None,
    checkpoints: Checkpoints = "",
    verbose: Verbose = False,
    jsonl: Jsonl = False,
    json: Json = False,
) -> None:
    """Go on where a thread stopped, crashed or asked a question; or, with --from, earlier."""
    runs = Runs(read_settings(checkpoints=checkpoints, secrets=secret))
    if apply and not Path(apply).is_dir():
        raise UsageError(f"no such folder: {apply}")
    if back_to:
        if answer is not None:
            raise UsageError("--from asks questions again: give --answer when it has asked")
        Stop().run(rewind(runs, thread, back_to))
    style = Style(verbose=verbose, jsonl=jsonl, json=json)
    ending, stop = _followed(style, thread, partial(runs.resume, thread, answer=answer))
    _finish(runs, ending, stop, style, apply_to=Path(apply) if apply else None)


def _finish(
    runs: Runs, ending: Ending, stop: Drain, style: Style, *, apply_to: Path | None
) -> None:
    report = ending.state.get("report")
    patch = (runs.ledger.patch(report["patch"]) or "") if report else ""
    code, applied = exit_code(ending, stop.number), ""
    if apply_to is not None and code == ExitCode.VERIFIED:
        apply_to_folder(patch, apply_to)
        applied = str(apply_to)
    try:
        if style.jsonl:
            print_line({"event": "ended", **as_json(ending, patch), "applied": applied})
        elif style.json:
            print_json({**as_json(ending, patch), "applied": applied})
        else:
            print_ending(ending, patch, Console(highlight=False, soft_wrap=True), applied=applied)
        sys.stdout.flush()
    except (ReaderGoneError, OSError):  # the terminal or the reader is gone; the thread has it all
        abandon(sys.stdout)
        code = code or READER_GONE
    raise typer.Exit(code)
