"""Arguments and options that several commands have in common."""

import re
from typing import Annotated, cast

import typer
from pydantic import SecretStr

from nodes.candidates import MOST
from nodes.environment import OFF
from nodes.state import Bounds, Input
from tools.errors import UsageError
from tools.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]

Jsonl = Annotated[
    bool, typer.Option("--jsonl", help="Print events as JSON lines; the last has what --json says.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show output, tests and the model's words too.")
]

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
ApplyToSource = Annotated[bool, typer.Option("--apply", help="Write a verified patch to SOURCE.")]
CHECKPOINT_HELP = "A checkpoint's id, the beginning of one, or latest."
PRICE_HELP = "Dollars for a million tokens of the model."
RoleBudget = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROLE:KIND=AMOUNT",
        help="A bound of one role: planner, coder, reviewer; tokens, usd, seconds. Repeatable.",
    ),
]


Candidates = Annotated[
    int,
    typer.Option(
        min=0,
        max=MOST,
        help="Coders that work side by side; the best patch is taken. 0 = SENTIENT_CANDIDATES, 1.",
    ),
]


def role_bounds(given: list[str] | None) -> dict[str, Bounds]:
    """Bounds like `reviewer:tokens=20000` by role; what they may be is checked by the run.

    Raises:
        UsageError: one is not of that form.
    """
    bounds: dict[str, Bounds] = {}
    for one in given or []:
        role, _, rest = one.partition(":")
        kind, _, amount = rest.partition("=")
        try:
            number = int(amount) if kind == "tokens" else float(amount)
        except ValueError:
            raise UsageError(f"{one!r} is not of the form ROLE:KIND=AMOUNT") from None
        bounds.setdefault(role, {})[kind] = number  # type: ignore[literal-required]
    return bounds


def prices(asked: float | None, answered: float | None) -> Input:
    """The part of a run's input that says what the model costs, where the options do."""
    given = {"price_in": asked, "price_out": answered}
    return cast("Input", {name: price for name, price in given.items() if price is not None})


Install = Annotated[
    str, typer.Option(help="A command that installs what tests need.", callback=words)
]
NoInstall = Annotated[bool, typer.Option("--no-install", help="Install nothing for the tests.")]


def chosen_install(command: str, *, off: bool) -> str:
    """How to install, as a run's input has it.

    Raises:
        UsageError: a command is given and also that nothing is to be installed.
    """
    if command and off:
        raise UsageError("--install and --no-install contradict each other")
    return OFF if off else command


Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        metavar="NAME[=VARIABLE|=@FILE]",
        help="A variable for tests and commands in the desktop, kept out of everything else.",
    ),
]


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
