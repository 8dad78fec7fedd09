"""Spread and choose: before and after several candidates work on the plan side by side."""

from nodes import events
from nodes.candidates import elapsed, ranked, without_work
from nodes.context import Step, Update
from nodes.state import State


async def spread(state: State, step: Step) -> Update:
    """Ends the thread's desktop: each candidate has one of its own, from the same snapshot."""
    await step.services.desktops.kill_working(step.thread, "its candidates go on from its snapshot")
    return {}


async def choose(state: State, step: Step) -> Update:
    """Reads `results`; the state is that of the best candidate then, its files included.

    Its conversation is not taken along: should the work be sent back, the coder is told anew.
    """
    best_first = ranked(state["results"])
    shown = [without_work(result) for result in best_first]
    step.emit(events.Ranking(results=[dict(result) for result in shown]))
    chosen = best_first[0]
    update: Update = {
        **chosen.get("work", {}),
        "desktop": chosen["desktop"],
        "handed_in": True,
        "steps": 0,
        "results": shown,
        "worked": elapsed(state["results"], step.settings.candidates_at_once),
    }
    patches = [work["best"] for result in best_first if "best" in (work := result.get("work", {}))]
    if patches:
        update["best"] = max(patches, key=lambda patch: len(patch["fixed"]))
    return update
