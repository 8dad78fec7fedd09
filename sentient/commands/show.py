"""`sentient show`."""

from rich.console import Console

from sentient.options import Checkpoints, Json, Thread, read_settings
from sentient.reports import as_json, print_ending
from sentient.runs import Runs
from sentient.signals import Stop
from sentient.text import print_json


def show(thread: Thread, checkpoints: Checkpoints = "", json: Json = False) -> None:
    """Show where a thread is, or its report."""
    runs = Runs(read_settings(checkpoints=checkpoints))
    ending = Stop().run(runs.look(thread))
    report = ending.state.get("report")
    patch = (runs.ledger.patch(report["patch"]) or "") if report else ""
    if json:
        print_json(as_json(ending, patch))
    else:
        print_ending(ending, patch, Console(highlight=False, soft_wrap=True))
