"""Faults that are put into changed lines."""

import ast

from tools.mutants import mutants

CODE = """\
LIMIT = 3


def clamp(value, low, high):
    if value < low and low <= high:
        return low
    return min(value, high - 1)
"""


def made(text: str, lines: set[int], limit: int = 6) -> list[tuple[int, str]]:
    return [(mutant.line, mutant.after) for mutant in mutants("a.py", text, lines, limit)]


def test_mutants_are_spread_over_lines_and_bounded() -> None:
    found = made(CODE, {1, 5, 7})
    assert {line for line, _ in found[:3]} == {1, 5, 7}
    assert len(found) == 6
    assert made(CODE, {1, 5, 7}, limit=1) == found[:1]


def test_mutants_change_one_line_and_stay_python() -> None:
    for mutant in mutants("a.py", CODE, {5}, 10):
        ast.parse(mutant.text)
        assert mutant.text == CODE.replace(mutant.before, mutant.after)
        assert mutant.before == "if value < low and low <= high:"


def test_mutants_of_unchanged_lines_and_of_what_is_no_python_are_none() -> None:
    assert made(CODE, {2, 99}) == []
    assert made("def (", {1}) == []
