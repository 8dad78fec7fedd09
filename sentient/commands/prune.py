"""`sentient prune`: what it takes and what it prints."""

import re
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Literal

import typer

from checkpoints.ledger import Ledger
from sentient.cleanup.prune import Pruned, Wish, prune
from sentient.options import Checkpoints, Json, read_settings, thread_ids
from sentient.signals import Stop
from sentient.text import plural, print_json, printable
from tools.errors import ExitCode, UsageError

AGE = re.compile(r"(\d{1,6})([hdw])")
UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def prune_command(
    threads: Annotated[
        list[str] | None,
        typer.Argument(help="Threads to remove whole, ended or with --force.", callback=thread_ids),
    ] = None,
    keep: Annotated[
        Literal["all", "latest"] | None,
        typer.Option(help="latest: reduce ended threads to their newest checkpoint."),
    ] = None,
    older_than: Annotated[
        str, typer.Option(help="Remove threads that ended so long ago: 12h, 30d, 8w.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also threads that could be resumed, if named.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, remove nothing.")
    ] = False,
    checkpoints: Checkpoints = "",
    json: Json = False,
) -> None:
    """Remove ended threads by age or name, and desktops and snapshots that nothing needs."""
    settings, names = read_settings(checkpoints=checkpoints), threads or []
    if force and not names:
        raise UsageError("--force is for threads by name, which then go whole: name them")
    if names and (older_than or keep == "all"):
        raise UsageError(
            "named threads go whole, or with --keep latest: name none, or nothing else"
        )
    age = _age(older_than) if older_than else None
    if age is None and not names and settings.keep_days:
        age = timedelta(days=settings.keep_days)
    wish = Wish(names, keep or "", age, force, dry_run)
    done = Stop().run(prune(settings, Ledger(settings.home / "ledger.db"), wish))
    if json:
        print_json(asdict(done))
    else:
        _print(done)
    if done.unread:
        raise typer.Exit(ExitCode.ENVIRONMENT)


def _age(text: str) -> timedelta:
    found = AGE.fullmatch(text)
    if found is None:
        raise UsageError(f"--older-than takes a number with h, d or w, as in 30d; got {text!r}")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _print(done: Pruned) -> None:
    verb = "would remove" if done.dry_run else "removed"
    counts = [
        plural(len(done.threads), "thread"),
        plural(len(done.desktops), "desktop"),
        plural(len(done.snapshots), "snapshot"),
    ]
    lines = [f"{verb} {', '.join(counts)}"]
    if done.reduced:
        reduced = "would reduce" if done.dry_run else "reduced"
        lines.append(f"{reduced} {plural(len(done.reduced), 'thread')} to the newest checkpoint")
    if not done.dry_run:
        store = "" if done.snapshot_bytes is None else f", {_mib(done.snapshot_bytes)} of snapshots"
        lines.append(f"freed {_mib(done.database_bytes)} of databases{store}")
    lines += [f"left alone, running: {thread}" for thread in done.busy]
    lines += [f"left alone, cannot be read: {what}" for what in done.unread]
    typer.echo("\n".join(printable(line) for line in lines))


def _mib(size: int) -> str:
    return f"{max(size, 0) / (1 << 20):.1f} MiB"
