"""Arguments and options that several commands have in common."""

from typing import Annotated

import typer
from pydantic import SecretStr

from tools.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
Thread = Annotated[str, typer.Argument(help="A thread's id, as `sentient threads` lists them.")]
Checkpoints = Annotated[
    str,
    typer.Option(metavar="URL", help="Where checkpoints are: sqlite:///PATH or postgresql://..."),
]
CHECKPOINT_HELP = "A checkpoint's id, the beginning of one, or latest."


def read_settings(*, model: str = "", checkpoints: str = "") -> Settings:
    """The settings of this process, changed by the options that are not empty."""
    changes = {"model": model, "checkpoints": checkpoints and SecretStr(checkpoints)}
    return Settings().model_copy(update={name: new for name, new in changes.items() if new})
