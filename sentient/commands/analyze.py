"""`sentient analyze`: what a repository is, and where in it a task is likely to be solved."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from checkpoints.ledger import Ledger
from sentient.options import Json, read_settings, words
from sentient.signals import Stop
from sentient.text import print_json, printable
from tools.analysis import Analysis, Evidence, Ranking, analyze_repository, known_analysis
from tools.analysis.maps import as_rows
from tools.connection import Connection
from tools.desktop import Desktop
from tools.repository import Repository, install_repository
from tools.scratch import scratch_folder
from tools.settings import Settings
from tools.source import pack, refuse_credentials

LIFE_S = 900
"""Seconds after which the server ends a desktop that a dead process left."""


async def analyze(settings: Settings, source: str) -> tuple[Repository, Analysis]:
    """Bring SOURCE into a short-lived desktop and analyse it there; the ledger keeps the result."""
    refuse_credentials(source)
    store = Ledger(settings.home / "ledger.db").analyses
    async with (
        scratch_folder(settings.home / "scratch") as scratch,
        await Desktop.create(
            lifecycle="ephemeral", timeout_s=LIFE_S, connection=Connection(settings)
        ) as desktop,
    ):
        packed = await pack(source, scratch, limit_mb=settings.max_source_mb)
        repository = await install_repository(desktop, packed)
        found = await asyncio.to_thread(known_analysis, store, repository.tree)
        if found is None:
            found = await analyze_repository(desktop, store, repository.tree, settings.grammars)
        return repository, found


def analyze_command(
    source: Annotated[
        str, typer.Argument(help="A folder, a git URL or an archive.", callback=words)
    ],
    task: Annotated[
        str, typer.Option(help="What the ranking is for, in words.", callback=words)
    ] = "",
    tokens: Annotated[
        int, typer.Option(min=0, max=100_000, help="Print the map for a model, in so many tokens.")
    ] = 0,
    top: Annotated[int, typer.Option(min=1, max=500, help="Files that are ranked.")] = 10,
    json: Json = False,
) -> None:
    """Say what a repository is made of, how it is tested, and which files matter, for a task."""
    repository, analysis = Stop().run(analyze(read_settings(), source))
    ranking = analysis.rank(Evidence(task=task))
    if json:
        print_json(_as_json(repository, analysis, ranking, top, tokens))
    elif tokens:
        typer.echo(printable(analysis.map(ranking, tokens=tokens)), nl=False)
    else:
        _show(repository, analysis, ranking, top)


def _as_json(
    repository: Repository, analysis: Analysis, ranking: Ranking, top: int, tokens: int
) -> Mapping[str, Any]:
    return {
        "name": repository.name,
        "tree": repository.tree,
        **analysis.profile.model_dump(),
        "commits": len(analysis.history),
        "parsed_now": analysis.new,
        "ranking": as_rows(analysis.corpus, ranking, top),
        **({"map": analysis.map(ranking, tokens=tokens)} if tokens else {}),
    }


def _show(repository: Repository, analysis: Analysis, ranking: Ranking, top: int) -> None:
    profile, tests = analysis.profile, analysis.profile.tests
    lines = [
        ("files", f"{profile.files}, {profile.parsed} parsed ({analysis.new} now)"),
        ("lines", ", ".join(f"{name} {count}" for name, count in profile.lines.items())),
        ("packages", ", ".join(profile.managers)),
        (
            "tests",
            f"{tests.files} files in {', '.join(tests.folders[:5])}" if tests.files else "none",
        ),
        ("run them", "; ".join(dict.fromkeys(tests.commands))),
        ("framework", ", ".join(tests.frameworks)),
        ("entry", "; ".join(profile.entry_points[:6])),
        ("commands", ", ".join(list(profile.commands)[:10])),
    ]
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(printable(repository.name))}[/bold]")
    for name, value in lines:
        if value:
            console.print(f"{name:<10} {escape(printable(value))}")
    for row in as_rows(analysis.corpus, ranking, top):
        because = f"  ({', '.join(row['because'])})" if row["because"] else ""
        console.print(f"\n[bold]{escape(printable(row['path']))}[/bold]{escape(because)}")
        for symbol in row["symbols"][:6]:
            place = f"{symbol['first']}-{symbol['last']}"
            console.print(f"  {place:<12} {escape(printable(symbol['name']))}")
