"""What a thread has paid for, by its state and by the ledger."""

from typing import Any, cast

from nodes.budgets import limits
from nodes.candidates import begun, share
from nodes.spending import before_candidates, paid
from nodes.state import NO_USAGE, State, Usage


def usage(calls: int, usd: float | None = None) -> Usage:
    return {**NO_USAGE, "calls": calls, "input_tokens": 100 * calls, "usd": usd}


def state(**values: Any) -> State:
    return cast("State", {"owner": "t", **values})


def calls(count: int, node: str = "coder", candidate: int = 0) -> list[tuple[str, int, Any]]:
    return [(node, candidate, usage(1, 0.5))] * count


def counts(found: State) -> tuple[int, dict[str, int]]:
    return found["usage"]["calls"], {role: it["calls"] for role, it in found["roles"].items()}


def test_paid_calls_of_lost_steps_are_counted_by_role() -> None:
    known = state(usage=usage(2, 1.0), roles={"planner": usage(1, 0.5), "coder": usage(1, 0.5)})
    found = paid(known, "t", [*calls(1, "planner"), *calls(4)])
    assert counts(found) == (5, {"planner": 1, "coder": 4})
    assert found["usage"]["usd"] == 2.5
    assert paid(found, "t", calls(3)) == found, "nor does a lost ledger make it less"


def test_paid_thread_without_a_model_is_left_alone() -> None:
    assert paid(state(), "t", []) == state()
    assert paid(cast("State", {}), "t", []) == {}


def test_paid_price_that_is_not_known_somewhere_is_not_known() -> None:
    old: Any = {"calls": 2, "input_tokens": 100, "output_tokens": 50}
    found = paid(state(usage=old, roles={"coder": old}), "t", calls(3))
    assert (found["usage"]["calls"], found["usage"]["usd"]) == (3, None)
    assert found["roles"]["coder"]["output_tokens"] == 50


def test_paid_copy_adds_its_own_calls_to_what_it_began_with() -> None:
    at_copy = state(usage=usage(3, 1.5), roles={"coder": usage(3, 1.5)})
    first = paid(at_copy, "copy", calls(2))
    assert counts(first) == (5, {"coder": 5}), "two were paid by a step of the copy that failed"
    later = paid({**first, "owner": "copy"}, "copy", calls(4))
    assert counts(later) == (7, {"coder": 7})
    of_copy = paid(later, "second", [])
    assert counts(of_copy) == (7, {"coder": 7})
    assert of_copy["inherited"] == later["roles"]


def test_candidates_count_their_own_calls_and_share_what_is_left_beside_them() -> None:
    made = [*calls(2, "planner"), *calls(1, candidate=1), *calls(3, candidate=2)]
    parent = state(usage=usage(2), roles={"planner": usage(2)}, candidates=2, max_tokens=1000)
    # a rewound thread: what its candidates paid for before is theirs, not everybody's
    everything = paid(parent, "t", made)
    assert everything["usage"]["calls"] == 6
    given = share(before_candidates(begun(everything, 2), "t", made), at_once=2)
    assert given["max_tokens"] == 400
    [limit] = limits(paid(given, "t", made))
    assert (limit.used, limit.bound) == (300, 400)


def test_candidates_of_a_copy_share_what_its_original_left() -> None:
    parent = state(roles={"planner": usage(4)}, usage=usage(4), candidates=2, max_tokens=1000)
    given = share(before_candidates(begun(parent, 1), "copy", []), at_once=2)
    assert (given["max_tokens"], given["owner"]) == (300, "copy")
