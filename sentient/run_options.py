"""Options that only runs have: what they may cost, install, and are given."""

from typing import Annotated, cast

import typer

from nodes.candidates import MOST
from nodes.environment import OFF
from nodes.state import Bounds, Input
from sentient.options import words
from tools.errors import UsageError

Jsonl = Annotated[
    bool, typer.Option("--jsonl", help="Print events as JSON lines; the last has what --json says.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show output, tests and the model's words too.")
]

ApplyToSource = Annotated[bool, typer.Option("--apply", help="Write a verified patch to SOURCE.")]
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
