"""`sentient desktop …`: the embedded server and its desktops, for any E2B program."""

import asyncio
import os
import shlex
import sys
from typing import Annotated, Any

import typer
from e2b_code_interpreter import AsyncSandbox

from sentient.reports import print_json
from tools.connection import Connection
from tools.desktop import list_desktops
from tools.desktop_errors import translated
from tools.errors import UsageError
from tools.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The embedded E2B-compatible server and its desktops.")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 = any free port.")] = 0,
    data_dir: Annotated[str, typer.Option(help="Folder of its state.")] = "",
) -> None:
    """Run the server in the foreground; prints {"url", "api_key"} when it is ready."""
    folder = data_dir or str(Connection(Settings()).data_dir)
    arguments = ["serve", "--host", host, "--port", str(port), "--data-dir", folder]
    os.execv(sys.executable, [sys.executable, "-m", "sentient_desktop", *arguments])  # noqa: S606


@app.command()
def env() -> None:
    """Print shell exports that point any E2B program at the embedded server."""
    options = asyncio.run(Connection(Settings()).options())
    names = {"E2B_API_URL": "api_url", "E2B_SANDBOX_URL": "sandbox_url", "E2B_API_KEY": "api_key"}
    for name, key in names.items():
        if value := options.get(key):
            sys.stdout.write(f"export {name}={shlex.quote(str(value))}\n")


@app.command("list")
def list_command(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """List the ids of desktops, running or paused."""
    ids = asyncio.run(_ids())
    if json:
        print_json(ids)
    else:
        sys.stdout.write("".join(f"{desktop_id}\n" for desktop_id in ids))


async def _ids() -> list[str]:
    return [item async for item in list_desktops(Connection(Settings()), {})]


@app.command()
def snapshots(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """List the ids of snapshots, the newest first."""
    ids = asyncio.run(_snapshot_ids())
    if json:
        print_json(ids)
    else:
        sys.stdout.write("".join(f"{snapshot_id}\n" for snapshot_id in ids))


async def _snapshot_ids() -> list[str]:
    options = await Connection(Settings()).options()
    pages, found = AsyncSandbox.list_snapshots(**options), []
    while pages.has_next:
        with translated("list snapshots"):
            found += [item.snapshot_id for item in await pages.next_items()]
    return found


@app.command()
def kill(desktop_id: Annotated[str, typer.Argument(help="A desktop's id.")]) -> None:
    """End a desktop and delete its files; its snapshots stay."""
    if not asyncio.run(_kill(desktop_id)):
        raise UsageError(
            f"there is no desktop {desktop_id}", hint="list them: sentient desktop list"
        )


async def _kill(desktop_id: str) -> Any:
    options = await Connection(Settings()).options()
    with translated("kill a desktop"):
        return await AsyncSandbox.kill(desktop_id, **options)
