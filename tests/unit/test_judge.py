"""The verdict is a pure comparison of three test runs."""

from nodes.verdict.judging import doubtful, judge
from tools.results import Outcome, TestRun


def run_of(finished: bool = True, **outcomes: str) -> TestRun:
    return TestRun(
        exit_status=0 if finished else None,
        collected=list(outcomes),
        tests=[Outcome(id=name, outcome=outcome) for name, outcome in outcomes.items()],
        finished=finished,
    )


BASELINE = run_of(a="passed", b="failed", c="skipped")
GOOD = run_of(a="passed", b="passed", c="skipped")


def test_judge_all_fixed_passes() -> None:
    verdict = judge(BASELINE, GOOD, GOOD)
    assert verdict["passed"]
    assert verdict["fixed"] == ["b"]


def test_judge_still_failing_does_not_pass() -> None:
    verdict = judge(BASELINE, BASELINE, BASELINE)
    assert not verdict["passed"]
    assert verdict["still_failing"] == ["b"]


def test_judge_regression_does_not_pass() -> None:
    verdict = judge(BASELINE, run_of(a="failed", b="passed", c="skipped"), GOOD)
    assert verdict["regressions"] == ["a"]
    assert not verdict["passed"]


def test_judge_test_skipped_now_does_not_pass() -> None:
    skipped = run_of(a="passed", b="skipped", c="skipped")
    assert not judge(BASELINE, skipped, skipped)["passed"]


def test_judge_test_missing_does_not_pass() -> None:
    fewer = run_of(a="passed", b="passed")
    verdict = judge(BASELINE, fewer, fewer)
    assert any("no longer collected" in reason for reason in verdict["reasons"])


def test_judge_expected_failure_is_no_repair() -> None:
    xfailed = run_of(a="passed", b="xfailed", c="skipped")
    assert not judge(BASELINE, xfailed, xfailed)["passed"]


def test_judge_passing_test_that_now_xfails_does_not_pass() -> None:
    xfailed = run_of(a="xfailed", b="passed", c="skipped")
    assert judge(BASELINE, xfailed, xfailed)["regressions"] == ["a"]


def test_judge_expected_failure_of_the_base_may_stay_or_pass() -> None:
    baseline = run_of(a="xfailed", b="failed")
    for outcome in ("xfailed", "xpassed", "passed"):
        now = run_of(a=outcome, b="passed")
        assert judge(baseline, now, now)["passed"]


def test_judge_planted_test_that_passes_or_is_gone_means_forgery() -> None:
    baseline = BASELINE.model_copy(update={"canaries": 3})
    honest = GOOD.model_copy(update={"canaries": 3})
    assert judge(baseline, honest, honest)["passed"]
    for forged in ({"canaries": 3, "believable": False}, {"canaries": 0}):
        verdict = judge(baseline, honest, GOOD.model_copy(update=forged))
        assert verdict["reasons"] == ["planted tests did not fail: forged results"]


def test_judge_passing_only_under_own_name_does_not_pass() -> None:
    masked = run_of(a="passed", b="failed", c="skipped")
    verdict = judge(BASELINE, GOOD, masked)
    assert verdict["reasons"] == ["passes only under its own name: b"]


def test_judge_unfinished_run_does_not_pass() -> None:
    unfinished = run_of(finished=False, a="passed", b="passed", c="skipped")
    assert not judge(BASELINE, unfinished, GOOD)["passed"]


def test_judge_new_failure_does_not_pass() -> None:
    more = run_of(a="passed", b="passed", c="failed")
    assert not judge(BASELINE, more, GOOD)["passed"]


def test_judge_flaky_tests_are_neither_fixed_nor_broken() -> None:
    baseline = run_of(a="passed", b="failed", c="flaky", d="passed")
    after = run_of(a="passed", b="passed", c="failed", d="flaky")
    verdict = judge(baseline, after, after)
    assert verdict["passed"]
    assert (verdict["fixed"], verdict["flaky"]) == (["b"], ["c", "d"])


def test_judge_target_that_became_flaky_is_not_solved() -> None:
    after = run_of(a="passed", b="flaky", c="skipped")
    verdict = judge(BASELINE, after, after)
    assert verdict["reasons"] == ["1 of 1 tests still do not pass", "1 of them now and then, b"]


def test_judge_flaky_test_that_is_gone_does_not_pass() -> None:
    baseline = run_of(a="passed", b="failed", c="flaky")
    fewer = run_of(a="passed", b="passed")
    assert not judge(baseline, fewer, fewer)["passed"]


def test_doubtful_are_tests_that_held_or_hold_in_one_run() -> None:
    baseline = run_of(a="passed", b="failed", c="passed", d="failed", e="passed", f="failed")
    run = run_of(a="passed", b="passed", c="failed", d="failed", e="passed", f="passed")
    masked = run_of(a="failed", b="passed", c="failed", d="failed", e="passed", f="failed")
    assert doubtful(baseline, run, masked) == ["a", "c", "f"]
