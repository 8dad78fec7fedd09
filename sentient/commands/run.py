"""`sentient run`: one program in an ephemeral desktop."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from sentient.options import Json, read_settings
from sentient.signals import Stop
from sentient.streams import pass_error, passing_on
from sentient.text import print_json
from tools.connection import Connection
from tools.desktop import Desktop, Execution
from tools.e2b_sandbox_tool import INTERPRETERS, run_script
from tools.errors import UsageError


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
    done = Stop().run(_execute(language, script, timeout, quiet=json))
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
