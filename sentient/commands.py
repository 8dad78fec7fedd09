"""The commands of `sentient`; errors are raised here and printed by `cli`."""

import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nodes.state import Input
from sentient import desktop_commands, doctor
from sentient.analyze import analyze_command
from sentient.cleanup.prune_command import prune_command
from sentient.endings import Ending
from sentient.following import Style, following, print_line
from sentient.options import (
    CHECKPOINT_HELP,
    PRICE_HELP,
    ApplyToSource,
    Candidates,
    Checkpoints,
    Install,
    Json,
    Jsonl,
    NoInstall,
    RoleBudget,
    Secrets,
    Source,
    Thread,
    Verbose,
    chosen_install,
    prices,
    read_settings,
    role_bounds,
    thread_id,
    words,
)
from sentient.past import time_commands
from sentient.past.travel import rewind
from sentient.reports import as_json, exit_code, print_checks, print_ending, print_json
from sentient.runs import Runs, new_thread_id
from sentient.signals import Stop
from sentient.streams import READER_GONE, ReaderGoneError, abandon, pass_error, passing_on
from sentient.text import printable
from tools.connection import Connection
from tools.desktop import Desktop, Execution
from tools.e2b_sandbox_tool import INTERPRETERS, run_script
from tools.errors import ExitCode, UsageError
from tools.patch import apply_to_folder

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(desktop_commands.app, name="desktop")


@app.command()
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
) -> tuple[Ending, Stop]:
    """Run a thread, shown as asked for; the first signal lets it end its step."""
    with following(style) as listen:
        stop = Stop(listen, f"; go on with: sentient resume {thread}")
        return stop.run(work(listen=stop.tell, control=stop.control)), stop


def _task(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the task from {text[1:]}: {error}") from error


@app.command()
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
        _run(rewind(runs, thread, back_to))
    style = Style(verbose=verbose, jsonl=jsonl, json=json)
    ending, stop = _followed(style, thread, partial(runs.resume, thread, answer=answer))
    _finish(runs, ending, stop, style, apply_to=Path(apply) if apply else None)


def _finish(runs: Runs, ending: Ending, stop: Stop, style: Style, *, apply_to: Path | None) -> None:
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


@app.command()
def threads(json: Json = False) -> None:
    """List threads, the one that changed last first."""
    rows = Runs(read_settings()).threads()
    if json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("THREAD", "STATUS", "CHANGED", "SOURCE"):
        table.add_column(title)
    for row in rows:
        status = f"waiting: {row['detail']}" if row["status"] == "waiting" else row["status"]
        cells = (row["id"], status, row["updated"][:19], row["source"])
        table.add_row(*(escape(printable(cell)) for cell in cells))
    Console(highlight=False).print(table if rows else "no threads yet: sentient fix SOURCE")


@app.command()
def show(thread: Thread, checkpoints: Checkpoints = "", json: Json = False) -> None:
    """Show where a thread is, or its report."""
    runs = Runs(read_settings(checkpoints=checkpoints))
    ending = _run(runs.look(thread))
    report = ending.state.get("report")
    patch = (runs.ledger.patch(report["patch"]) or "") if report else ""
    if json:
        print_json(as_json(ending, patch))
    else:
        print_ending(ending, patch, Console(highlight=False, soft_wrap=True))


@app.command()
def run(
    language: Annotated[str, typer.Argument(help="python or node")],
    file: Annotated[str, typer.Argument(help="A file, or - for standard input.")],
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds until it is killed.")] = 60,
    json: Json = False,
) -> None:
    """Run one program in an ephemeral desktop and pass on its output and exit code."""
    if language not in INTERPRETERS:
        raise UsageError(f"{language!r} is neither python nor node")
    try:
        script = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error
    done: Execution = _run(_execute(language, script, timeout, quiet=json))
    if json:
        print_json(asdict(done))
    elif done.timed_out:
        sys.stderr.write(f"sentient: no end after {timeout:g} s, killed\n")
    raise typer.Exit(done.exit_code)


async def _execute(language: Any, script: str, timeout_s: float, *, quiet: bool) -> Execution:
    connection = Connection(read_settings())
    async with (
        await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop,
        passing_on() as out,
    ):
        return await run_script(
            desktop,
            language,
            script,
            timeout_s=timeout_s,
            on_stdout=None if quiet else out,
            on_stderr=None if quiet else pass_error,
        )


@app.command("doctor")
def doctor_command(json: Json = False) -> None:
    """Check that this machine can run desktops, and say what to do if it cannot."""
    checks = _run(doctor.examine(read_settings()))
    print_checks(checks, json=json)
    if not all(check.ok for check in checks):
        raise typer.Exit(ExitCode.ENVIRONMENT)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return Stop().run(work)


app.command()(time_commands.history)
app.command()(time_commands.diff)
app.command()(time_commands.logs)
app.command()(time_commands.fork)
app.command("analyze")(analyze_command)
app.command("prune")(prune_command)
