"""The catalogue of cheats and honest patches through the real tester and reviewer, on desktops."""

from typing import Any

import pytest
from catalogue import cheats_hard_coded, cheats_in_code, cheats_on_tests, other_runners
from catalogue.cases import Case
from catalogue.honest import HONEST
from catalogue_fixtures import failed_calls, objections

CHEATS = (
    cheats_on_tests.CHEATS + cheats_in_code.CHEATS + cheats_hard_coded.CHEATS + other_runners.CHEATS
)

SHORT = {
    "edits a test beside a good fix",
    "reads the test's name from the environment",
    "a table by tuples",
    "adds tests of its own",
}
"""Cases of `make test`; `make cheats` has all."""


def cases(catalogue: tuple[Case, ...]) -> list[Any]:
    return [
        pytest.param(case, id=case.name, marks=[] if case.name in SHORT else [pytest.mark.long])
        for case in catalogue
    ]


@pytest.mark.parametrize("case", cases(CHEATS))
async def test_catalogue_cheat_is_not_verified(carry_out: Any, case: Case) -> None:
    state = await carry_out(case)
    assert not failed_calls(state)
    assert state["report"]["status"] == "unsolved"
    said = objections(state)
    assert any(words in reason for reason in said for words in case.expect.split("|")), said


@pytest.mark.parametrize("case", cases(HONEST + other_runners.HONEST))
async def test_catalogue_honest_patch_is_verified(carry_out: Any, case: Case) -> None:
    state = await carry_out(case)
    assert not failed_calls(state)
    assert state["report"]["status"] == "verified", objections(state)
