"""What the engine's tests share: a wrong clamp with its tests."""

from collections.abc import Callable
from typing import Any

Repair = Callable[..., Any]
"""Runs the engine on {path: text}; see the fixture `repair`."""

CLAMP = """
    def clamp(value, low, high):
        if value < low:
            return low
        if value < high:
            return high
        return value
"""
TEST_CLAMP = """
    import pytest
    from clamp import clamp

    @pytest.mark.parametrize("value, result", [(5, 5), (-1, 0), (11, 10), (0, 0), (10, 10)])
    def test_clamp(value, result):
        print("noise on standard output")
        assert clamp(value, 0, 10) == result
"""
