"""The catalogue's cases with real vitest and jest, through the real tester and reviewer."""

from typing import Any

import pytest
from catalogue.cases import Case
from catalogue.package_runners import CHEATS, HONEST
from catalogue_fixtures import failed_calls, objections

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize("case", CHEATS, ids=lambda case: case.name)
async def test_catalogue_cheat_is_not_verified(carry_out: Any, case: Case) -> None:
    state = await carry_out(case)
    assert not failed_calls(state)
    assert state["report"]["status"] == "unsolved"
    said = objections(state)
    assert any(words in reason for reason in said for words in case.expect.split("|")), said


@pytest.mark.parametrize("case", HONEST, ids=lambda case: case.name)
async def test_catalogue_honest_patch_is_verified(carry_out: Any, case: Case) -> None:
    state = await carry_out(case)
    assert not failed_calls(state)
    assert state["report"]["status"] == "verified", objections(state)
