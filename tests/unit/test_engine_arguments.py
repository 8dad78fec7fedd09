"""What the engine is given to collect."""

from typing import Any, cast

from nodes.state import State
from nodes.testing import engine_arguments
from tools.desktop import Desktop


async def test_engine_arguments_leave_flaky_tests_out() -> None:
    state: Any = {"tests": "pytest -k sum", "baseline": {"flaky": ["test_a.py::test_sum"]}}
    nobody = cast("Desktop", None)  # which a suite of pytest's does not ask
    arguments = await engine_arguments(cast("State", state), nobody)
    assert arguments == ["-k", "sum", "--deselect=test_a.py::test_sum"]
