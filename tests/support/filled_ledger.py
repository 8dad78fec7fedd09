"""A ledger with one thread in it, written as nodes write."""

from typing import Any

from checkpoints.ledger import Ledger

MEAN, CLAMP = "test_calc.py::test_mean", "test_calc.py::test_clamp"


def two_tests(mean: str, clamp: str) -> list[dict[str, Any]]:
    return [
        {"id": MEAN, "outcome": mean, "seconds": 0.2, "message": ""},
        {"id": CLAMP, "outcome": clamp, "seconds": 0.1, "message": ""},
    ]


def fill(ledger: Ledger, thread: str = "t") -> None:
    """One thread: a baseline, an attempt that breaks a test, a good one, one that is refused."""
    ledger.save_thread(thread, source="/src/calc", status="running")
    baseline = ledger.save_test_run(
        thread, "baseline", 0, two_tests("failed", "passed"), snapshot="s0"
    )
    for attempt, (mean, clamp) in enumerate([("failed", "timeout"), ("passed", "passed")], 1):
        patch = ledger.save_patch(f"patch {attempt}")
        run = ledger.save_test_run(
            thread, "verdict", attempt, two_tests(mean, clamp), patch=patch, snapshot="s0"
        )
        files = [{"path": "calc.py", "status": "M", "added": attempt, "removed": 1}]
        verdict = {"passed": mean == "passed", "reasons": ["why"], "patch": patch, "run": run}
        where = {"baseline": baseline, "snapshot": f"s{attempt}"}
        ledger.save_verdict(thread, attempt, {**verdict, "files": files}, **where)
    nothing = {"passed": False, "reasons": ["nothing was changed"], "patch": "", "run": ""}
    ledger.save_verdict(thread, 3, {**nothing, "files": []}, baseline=baseline, snapshot="s3")
    for call in ("a", "b"):
        used = {"input_tokens": 10, "output_tokens": None, "usd": None}
        ledger.save_cost(thread, "coder", 1, call, used, model="m")
