"""The commands of `sentient`, each in a module that is imported when it is asked for.

Most need the graph, whose imports take a second or more; a list of commands, a mistyped one and
those that only read the ledger do not wait for it.
"""

import signal
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from sentient.signals import StoppedError

COMMANDS = {
    "fix": ("work:fix", "Repair a repository, or do a task in it; verify the patch."),
    "resume": ("work:resume", "Go on where a thread stopped, crashed or asked."),
    "threads": ("threads:threads", "List threads, the one that changed last first."),
    "show": ("show:show", "Show where a thread is, or its report."),
    "history": ("past:history", "List a thread's checkpoints, with their branches."),
    "diff": ("past:diff", "Print a thread's patch, or what changed between checkpoints."),
    "logs": ("past:logs", "Tell what happened in a thread, oldest first."),
    "fork": ("past:fork", "Make a new thread from a checkpoint, with its files."),
    "analyze": ("analyze:analyze_command", "Say what a repository is, and which files matter."),
    "run": ("run:run", "Run one program in a desktop of its own."),
    "prune": ("prune:prune_command", "Remove ended threads and what nothing needs."),
    "desktop": ("desktop:app", "The embedded E2B-compatible server and its desktops."),
    "doctor": ("doctor:doctor_command", "Check that this machine can run desktops."),
}
"""By name, where a command is, and what it does in few words."""

PLAIN: dict[str, Any] = {
    "add_completion": False,
    "no_args_is_help": True,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}


class Commands(TyperGroup):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order that people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        try:
            found = getattr(import_module(f"{__name__}.{module}"), name)
        except KeyboardInterrupt:
            raise StoppedError(signal.SIGINT) from None
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        single = typer.Typer(**{**PLAIN, "no_args_is_help": False})
        single.command(cmd_name)(found)
        return typer.main.get_command(single)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


app = Commands(
    name="sentient",
    commands=dict.fromkeys(COMMANDS),  # type: ignore[arg-type]  # the names, for suggestions
    rich_markup_mode=None,
    no_args_is_help=True,
)
