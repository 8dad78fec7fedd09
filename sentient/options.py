"""Arguments and options that several commands have in common."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
Thread = Annotated[str, typer.Argument(help="A thread's id, as `sentient threads` lists them.")]

CHECKPOINT_HELP = "A checkpoint's id, the beginning of one, or latest."
