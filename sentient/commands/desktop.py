"""`sentient desktop …`: the embedded server and its desktops, for any E2B program."""

import asyncio
import os
import shlex
import sys
from typing import Annotated, Any

import typer
from e2b import CommandExitException, TimeoutException
from e2b_code_interpreter import AsyncSandbox

from sentient.commands import PLAIN
from sentient.doctor import explain_isolation, print_checks
from sentient.signals import Stop
from sentient.streams import pass_error, passing_on
from sentient.text import print_json, printable
from sentient_desktop.sandbox.remedies import apparmor_profile
from tools.connection import Connection
from tools.desktop import list_desktops
from tools.desktop_errors import translated
from tools.errors import ExitCode, UsageError
from tools.settings import Settings

DEFAULT_LIFE_S = 3600
TIMED_OUT, KILLED = 124, 137
"""Exit codes of `exec`, as those of timeout(1) and of a shell."""

DesktopId = Annotated[str, typer.Argument(metavar="DESKTOP", help="A desktop's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]

app = typer.Typer(help="The embedded E2B-compatible server and its desktops.", **PLAIN)


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
    options = Stop().run(Connection(Settings()).options())
    names = {"E2B_API_URL": "api_url", "E2B_SANDBOX_URL": "sandbox_url", "E2B_API_KEY": "api_key"}
    for name, key in names.items():
        if value := options.get(key):
            sys.stdout.write(f"export {name}={shlex.quote(str(value))}\n")


@app.command("list")
def list_command(
    json: Json = False,
) -> None:
    """List the ids of desktops, running or paused."""
    ids = Stop().run(_ids())
    if json:
        print_json(ids)
    else:
        sys.stdout.write("".join(f"{desktop_id}\n" for desktop_id in ids))


async def _ids() -> list[str]:
    return [item async for item in list_desktops(Connection(Settings()), {})]


@app.command()
def snapshots(
    json: Json = False,
) -> None:
    """List the ids of snapshots, the newest first."""
    ids = Stop().run(_snapshot_ids())
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
def show(desktop_id: DesktopId, json: Json = False) -> None:
    """Show one desktop: state, template, bounds, metadata, and when it ends."""
    shown = Stop().run(_show(_checked(desktop_id)))
    if json:
        print_json(shown)
        return
    for name, value in shown.items():
        sys.stdout.write(f"{name:<10}{printable(str(value))}\n")


async def _show(desktop_id: str) -> dict[str, Any]:
    options = await Connection(Settings()).options()
    with translated("show a desktop"):
        info = await AsyncSandbox.get_info(desktop_id, **options)
    return {
        "id": info.sandbox_id,
        "state": info.state.value,
        "template": info.template_id,
        "started": info.started_at.isoformat(timespec="seconds"),
        "ends": info.end_at.isoformat(timespec="seconds"),
        "cpus": info.cpu_count,
        "memory_mb": info.memory_mb,
        "metadata": info.metadata or {},
    }


@app.command()
def pause(desktop_id: DesktopId) -> None:
    """Freeze a desktop with its processes until it is resumed."""
    if not Stop().run(_pause(_checked(desktop_id))):
        raise UsageError(f"desktop {desktop_id} is paused already")


async def _pause(desktop_id: str) -> bool:
    options = await Connection(Settings()).options()
    with translated("pause a desktop"):
        return bool(await AsyncSandbox.pause(desktop_id, **options))


@app.command()
def resume(
    desktop_id: DesktopId,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds it shall live from now.")] = 3600,
) -> None:
    """Let a paused desktop run again, or a running one run longer."""
    Stop().run(_connect(_checked(desktop_id), timeout))


async def _connect(desktop_id: str, timeout: int) -> AsyncSandbox:
    options = await Connection(Settings()).options()
    with translated("resume a desktop"):
        return await AsyncSandbox.connect(desktop_id, timeout=timeout, **options)


@app.command("exec", context_settings={"ignore_unknown_options": True})
def execute(
    desktop_id: DesktopId,
    command: Annotated[list[str], typer.Argument(help="A program and its arguments.")],
    timeout: Annotated[int, typer.Option(min=0, help="Seconds; 0 = no bound.")] = 0,
) -> None:
    """Run a program in a desktop and end with its exit code; a paused desktop is resumed."""
    sys.exit(Stop().run(_execute(_checked(desktop_id), shlex.join(command), timeout)))


async def _execute(desktop_id: str, command: str, timeout: int) -> int:
    sandbox = await _connect(desktop_id, DEFAULT_LIFE_S)
    with translated("run a command"):
        try:
            async with passing_on() as out:
                handle = await sandbox.commands.run(
                    command, background=True, timeout=timeout, on_stdout=out, on_stderr=pass_error
                )
                try:
                    return int((await handle.wait()).exit_code)
                except asyncio.CancelledError:
                    await handle.kill()
                    raise
        except CommandExitException as failed:
            # A command killed by a signal has the exit code -1, which no process can end with.
            return int(failed.exit_code) if failed.exit_code >= 0 else KILLED
        except TimeoutException:
            pass_error(f"no end after {timeout} s: killed\n")
            return TIMED_OUT


def _checked(desktop_id: str) -> str:
    """Refuse what can be no id before it becomes part of a URL."""
    if not desktop_id.isascii() or not desktop_id.isalnum():
        raise UsageError(
            f"{desktop_id!r} is no desktop id", hint="list them: sentient desktop list"
        )
    return desktop_id


@app.command("doctor")
def doctor_command(
    json: Json = False,
    apparmor: Annotated[
        bool, typer.Option("--apparmor", help="Print a profile for AppArmor, ready to install.")
    ] = False,
) -> None:
    """Explain what isolates desktops on this machine, or what refuses to and what to do."""
    if apparmor:
        sys.stdout.write(apparmor_profile())
        return
    checks = explain_isolation()
    print_checks(checks, json=json)
    if not checks[-1].ok:
        raise typer.Exit(ExitCode.ENVIRONMENT)


@app.command()
def kill(desktop_id: DesktopId) -> None:
    """End a desktop and delete its files; its snapshots stay."""
    if not Stop().run(_kill(_checked(desktop_id))):
        raise UsageError(
            f"there is no desktop {desktop_id}", hint="list them: sentient desktop list"
        )


async def _kill(desktop_id: str) -> Any:
    options = await Connection(Settings()).options()
    with translated("kill a desktop"):
        return await AsyncSandbox.kill(desktop_id, **options)
