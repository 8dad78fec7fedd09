"""Deliver: the patch and the report; then the desktop is ended."""

from nodes import events
from nodes.candidates import ranked
from nodes.context import Step, Update
from nodes.reviews import settled
from nodes.state import NO_USAGE, Best, Finding, Report, State, Verdict
from nodes.verdict.flakes import findings as flaky_findings

LINES = 10
"""Lines of what could not be installed that are reported."""


async def deliver(state: State, step: Step) -> Update:
    """Reads verdict, findings and best; writes `report`. The desktop's last snapshot stays."""
    state = settled(state)
    verdict = state.get("verdict")
    blocking = [finding for finding in state.get("findings", []) if finding["blocking"]]
    verified = bool(verdict and verdict["passed"] and not blocking)
    shown: Verdict | Best | None = verdict if verified else state.get("best")
    report = Report(
        status="verified" if verified else "unsolved",
        summary=_summary(state, verified=verified),
        patch=shown["patch"] if shown else "",
        files=shown["files"] if shown else [],
        fixed=shown["fixed"] if shown else [],
        still_failing=shown["still_failing"] if shown else state["baseline"]["failing"],
        findings=[*_findings(state), *_not_installed(state)],
        attempts=state.get("attempt", 0),
        coder=step.model_name,
        seconds=round(state.get("worked", 0.0), 1),
        usage=state.get("usage") or NO_USAGE,
        roles=state.get("roles", {}),
        budget=state.get("spent", ""),
    )
    if results := state.get("results"):
        report["candidates"] = ranked(results)
    step.emit(events.Report.model_validate(report))
    await step.record(
        step.services.ledger.save_thread,
        step.thread,
        status=report["status"],
        detail=report["summary"],
    )
    await step.services.desktops.kill_all(step.thread)
    return {"report": report}


def _findings(state: State) -> list[Finding]:
    """What gates, tests and coder have to say; flaky tests of the base also without a verdict."""
    found = list(state.get("findings", []))
    if not any(finding["gate"] == "flaky" for finding in found):
        found += flaky_findings(state["baseline"].get("flaky", []))
    doubts = state.get("doubts", [])
    return found + [Finding(gate="doubt", message=doubt, blocking=False) for doubt in doubts]


def _not_installed(state: State) -> list[Finding]:
    environment = state.get("environment")
    lines = environment["detail"].splitlines() if environment else []
    return [
        Finding(gate="environment", message=f"not installed: {line}", blocking=False)
        for line in lines[:LINES]
    ]


def _summary(state: State, *, verified: bool) -> str:
    total = len(state["baseline"]["failing"])
    if verified:
        count = len(state["verdict"]["fixed"])
        return f"{count} failing tests pass, none breaks" if total else "no test breaks"
    if state["gave_up"] and not state.get("spent", ""):
        return state["gave_up"]
    blocking = [finding["message"] for finding in state.get("findings", []) if finding["blocking"]]
    reasons = state["verdict"]["reasons"] if "verdict" in state else []
    spent = [state["gave_up"]] if state.get("spent", "") else []
    return "; ".join([*spent, *reasons, *blocking]) or "no attempt was made"
