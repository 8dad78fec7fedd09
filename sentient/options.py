"""Arguments and options that several commands have in common; quick to import."""

import re
from typing import Annotated

import typer
from pydantic import SecretStr

from tools.errors import UsageError
from tools.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]

UNKEPT = re.compile(r"[\x00\ud800-\udfff]")
"""What neither a database nor a server takes: zero bytes, and what stands for undecodable ones."""


def words(text: str | None) -> str | None:
    """An argument that can be kept.

    Raises:
        UsageError: it holds bytes that are no UTF-8, or a zero byte.
    """
    if text is not None and UNKEPT.search(text):
        raise UsageError(f"{text!r} cannot be kept: it is not UTF-8 text")
    return text


def thread_id(given: str) -> str:
    """A thread's id as given, which may be empty where one is made up then.

    Raises:
        UsageError: it can be no id.
    """
    if not given.isprintable():
        raise UsageError(f"{given!r} is no thread id: it is not printable UTF-8 text")
    return given


def thread_ids(given: list[str] | None) -> list[str]:
    """`thread_id` for each."""
    return [thread_id(one) for one in given or []]


Thread = Annotated[
    str,
    typer.Argument(help="A thread's id, as `sentient threads` lists them.", callback=thread_id),
]
Checkpoints = Annotated[
    str,
    typer.Option(metavar="URL", help="Where checkpoints are: sqlite:///PATH or postgresql://..."),
]
Source = Annotated[str, typer.Argument(help="A folder, a git URL or an archive.", callback=words)]
CHECKPOINT_HELP = "A checkpoint's id, the beginning of one, or latest."


def read_settings(
    *, model: str = "", checkpoints: str = "", secrets: list[str] | None = None
) -> Settings:
    """The settings of this process, changed by the options that are not empty.

    Raises:
        UsageError: a secret cannot be used.
    """
    changes = {"model": model, "checkpoints": checkpoints and SecretStr(checkpoints)}
    settings = Settings().model_copy(update={name: new for name, new in changes.items() if new})
    return settings.with_secrets(secrets or [])
