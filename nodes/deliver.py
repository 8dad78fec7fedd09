"""Deliver: the patch and the report; then the desktop is ended."""

import time

from nodes.context import Step, Update
from nodes.gates import added_lines
from nodes.state import Finding, Report, State, Usage

NO_USAGE = Usage(calls=0, input_tokens=0, output_tokens=0)


async def deliver(state: State, step: Step) -> Update:
    """Reads verdict, findings and best; writes `report`. The desktop's last snapshot stays."""
    verdict = state.get("verdict")
    blocking = [finding for finding in state.get("findings", []) if finding["blocking"]]
    verified = bool(verdict and verdict["passed"] and not blocking)
    best = state.get("best")
    digest = (verdict["patch"] if verdict and verified else "") or (best["patch"] if best else "")
    text = await step.record(step.services.ledger.patch, digest) if digest else ""
    report = Report(
        status="verified" if verified else "unsolved",
        summary=_summary(state, verified=verified),
        patch=digest,
        files=patch_files(text or ""),
        fixed=verdict["fixed"] if verdict else [],
        still_failing=verdict["still_failing"] if verdict else state["baseline"]["failing"],
        findings=[*state.get("findings", []), *_doubts(state)],
        attempts=state.get("attempt", 0),
        coder=step.model_name,
        seconds=round(time.time() - state["started"], 1),
        usage=state.get("usage") or NO_USAGE,
    )
    await step.record(
        step.services.ledger.save_thread,
        step.thread,
        status=report["status"],
        detail=report["summary"],
    )
    await step.services.desktops.kill_all(step.thread)
    return {"report": report}


def _doubts(state: State) -> list[Finding]:
    return [
        Finding(gate="doubt", message=doubt, blocking=False) for doubt in state.get("doubts", [])
    ]


def _summary(state: State, *, verified: bool) -> str:
    total = len(state["baseline"]["failing"])
    if verified:
        count = len(state["verdict"]["fixed"])
        return f"{count} failing tests pass, none breaks" if total else "no test breaks"
    if state.get("gave_up"):
        return state["gave_up"]
    blocking = [finding["message"] for finding in state.get("findings", []) if finding["blocking"]]
    reasons = state["verdict"]["reasons"] if "verdict" in state else []
    return "; ".join([*reasons, *blocking]) or "no attempt was made"


def patch_files(patch: str) -> list[dict[str, str | int]]:
    """The files of a patch with the number of lines added and removed."""
    added = {path: len(lines) for path, lines in added_lines(patch).items()}
    files: dict[str, dict[str, str | int]] = {}
    path, removed, in_hunk = "", 0, False
    for line in patch.splitlines():
        if line.startswith("diff --git "):
            path, removed, in_hunk = line.rsplit(" b/", 1)[-1], 0, False
            files[path] = {"path": path, "added": added.get(path, 0), "removed": 0}
        elif line.startswith("@@"):
            in_hunk = True
        elif in_hunk and line.startswith("-"):
            removed += 1
            files[path]["removed"] = removed
    return list(files.values())
