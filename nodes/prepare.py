"""Prepare: makes the desktop and puts the repository in it, as one base commit."""

import math

from checkpoints.ledger import NO_SAVER
from nodes import events
from nodes.budgets import KINDS, ROLES
from nodes.candidates import MOST
from nodes.context import Step, Update
from nodes.environment import find_environment, first_desktop
from nodes.model.prices import HOW, NO_PRICE, price_of
from nodes.state import Base, Environment, Price, State
from tools.errors import UsageError
from tools.repository import Repository, install_repository
from tools.runners import runner_of
from tools.scratch import scratch_folder
from tools.source import pack, refuse_credentials, without_credentials

ATTEMPTS = 3
"""Rounds of coder, tester and reviewer unless the input says otherwise."""


async def prepare(state: State, step: Step) -> Update:
    """Reads `source`; writes `base` and the counters of the run.

    Nothing of the source is executed outside the desktop, and the source is never written to.
    """
    source = state.get("source", "").strip()
    if not source:
        raise UsageError("no source given: name a folder, a git URL or an archive")
    refuse_credentials(source)
    runner_of(state.get("tests", ""))
    _refuse_nonsense(state)
    price = _price(state, step)
    candidates = _candidates(state, step, has_model=await step.model() is not None)
    shown = without_credentials(source)
    await step.record(
        step.services.ledger.save_thread,
        step.thread,
        source=shown,
        task=state.get("task", ""),
        status="running",
        saver=None if step.is_saved else NO_SAVER,
    )
    step.emit(events.Packing(source=shown))
    repository, environment = await _bring(state, step, source)
    step.emit(events.Repository(files=repository.files, uncommitted=repository.uncommitted))
    return {
        "source": shown,
        "model": step.model_name,
        "price": price,
        "secrets": sorted(step.settings.secrets),
        "max_attempts": state.get("max_attempts") or ATTEMPTS,
        "candidates": candidates,
        "environment": environment,
        "base": Base(
            name=repository.name,
            commit=repository.base_commit,
            tree=repository.tree,
            files=repository.files,
            head=repository.head,
            uncommitted=repository.uncommitted,
        ),
        **_beginning(),
    }


def _beginning() -> Update:
    return {
        "attempt": 0,
        "steps": 0,
        "handed_in": False,
        "changed": [],
        "changed_count": 0,
        "doubts": [],
        "gave_up": "",
        "spent": "",
        "findings": [],
    }


async def _bring(state: State, step: Step, source: str) -> tuple[Repository, Environment]:
    """The repository in the thread's desktop, which has what its tests need."""
    async with scratch_folder(step.settings.home / "scratch") as scratch:
        packed = await pack(source, scratch, limit_mb=step.settings.max_source_mb)
        environment = await find_environment(state, step, packed, scratch)
        desktop = await first_desktop(step, environment)
        step.emit(events.Desktop(id=desktop.id))
        return await install_repository(desktop, packed), environment


def _refuse_nonsense(state: State) -> None:
    for name in ("max_attempts", "max_tokens", "max_seconds", "max_usd"):
        given = state.get(name)
        if given and not _is_bound(given):
            raise UsageError(f"{name} is {given!r}, not a number above 0")
    for name in ("price_in", "price_out"):
        given = state.get(name)
        if given and not _is_bound(given):
            raise UsageError(f"{name} is {given!r}, not a number from 0")
    for role, bounds in state.get("role_bounds", {}).items():
        if role not in ROLES:
            raise UsageError(f"{role!r} has no bounds of its own, only {', '.join(ROLES)} have")
        for kind, given in bounds.items():
            if kind not in KINDS or not _is_bound(given):
                kinds = ", ".join(KINDS)
                raise UsageError(f"{role}: {kind}={given!r} is no bound: a number of {kinds}")


def _is_bound(given: object) -> bool:
    return isinstance(given, int | float) and 0 < given < math.inf


def _candidates(state: State, step: Step, *, has_model: bool) -> int:
    given = state.get("candidates")
    count = given or step.settings.candidates
    if count not in range(1, MOST + 1):
        raise UsageError(f"candidates is {count!r}, not a whole number from 1 to {MOST}")
    if count == 1 or has_model:
        return count
    if given:
        raise UsageError(
            f"the offline engine finds the same patch each time: {count} candidates need a model",
            hint="set OPENAI_API_KEY or OPENAI_BASE_URL, and --model NAME",
        )
    return 1


def _price(state: State, step: Step) -> Price | None:
    price = price_of(step.settings, step.model_name, state)
    own = any("usd" in bounds for bounds in state.get("role_bounds", {}).values())
    if price is None and (own or state.get("max_usd")):
        raise UsageError(f"{NO_PRICE}, and {step.model_name!r} has none here", hint=HOW)
    return price
