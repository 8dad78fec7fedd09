"""The shell tool: any command in the repository, its output capped where it arises."""

from tools.desktop import Sink
from tools.journal import Journal

SHOWN = 6000
"""Bytes of output that are returned: half from the beginning, half from the end."""

TIMEOUT_S = 120.0

ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1", "PAGER": "cat"}


async def run_shell(
    journal: Journal,
    command: str,
    *,
    call: str,
    timeout_s: float = TIMEOUT_S,
    on_output: Sink | None = None,
) -> str:
    """Run `command` with bash in the repository; its whole output stays in the journal.

    `on_output` gets what it prints while it runs, at most 2,000 bytes twice a second.
    """
    ended = await journal.run(
        call, command, timeout_s=timeout_s, env=ENVIRONMENT, shown=SHOWN, on_output=on_output
    )
    end = f"no end after {timeout_s:g} s, killed" if ended.code is None else ""
    return f"{ended.output}\n[{end or f'exit code {ended.code}'}]"
