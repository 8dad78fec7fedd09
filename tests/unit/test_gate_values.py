"""What the gates read out of expressions, tests and tables, without running anything."""

import ast

import pytest

from nodes.gates import run_gates
from nodes.gates.comparisons import compares
from nodes.gates.constants import UnknownError, constant
from nodes.gates.expected import atom, rows
from nodes.gates.patch_text import make_review

TESTS = b"""
import pytest

CASES = [("a", 7)]


@pytest.mark.parametrize(("given", "wanted"), [(2, 4), ([8, 9], 17)])
def test_table(given, wanted):
    assert double(given) == wanted


def test_names():
    given, wanted = [5], 10
    expected = 12
    assert double(6) == expected
    assert not double(91)


def test_other():
    assert double(1000) == 2000
"""
TARGETS = ["test_x.py::test_table[2-4]", "test_x.py::test_names"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'py' + 'test'", "pytest"),
        ("''.join(['a', chr(98)])", "ab"),
        ("f'{1 + 1}x'", "2x"),
        ("'tset'[::-1]", "test"),
        ("int('4') - -len('abc')", 7),
        ("[1, (2,), {3}]", (1, (2,), (3,))),
    ],
)
def test_constant_expression_of_constants_is_worked_out(text: str, value: object) -> None:
    assert constant(ast.parse(text, mode="eval").body) == value


@pytest.mark.parametrize(
    "text",
    ["x + 1", "open('a')", "'a' * 10**9", "10**9", "1 / 0", "'%999999999d' % 1", "int('x')",
     "bytes(10)", "'{0:999999999}'.format(1)", "(1 << 70) * 'a'"],
)  # fmt: skip
def test_constant_unknown_or_large_expression_is_not_worked_out(text: str) -> None:
    with pytest.raises(UnknownError):
        constant(ast.parse(text, mode="eval").body)


def test_atom_of_a_value_and_of_its_text_is_the_same() -> None:
    assert atom("[2, 4]") == atom((2, 4)) == atom("2, 4") == (2.0, 4.0)
    assert atom(2) == atom("2") == 2.0
    assert atom(True) != atom(1)


def test_rows_hold_what_the_targets_write_side_by_side() -> None:
    found = rows(make_review("", TARGETS, {"test_x.py": TESTS}))
    assert any({atom((8, 9)), 17.0} <= row for row in found)
    assert any({6.0, 12.0} <= row for row in found)
    assert any({91.0, "False"} <= row for row in found)
    assert any({"a", 7.0} <= row for row in found)
    assert not any(2000.0 in row for row in found)


@pytest.mark.parametrize(
    ("body", "honest"),
    [
        ("return self.x == other.x", True),
        ("return self is other or self.x == other.x", True),
        ("return super().__eq__(other)", True),
        ("return isinstance(other, type(self)) and self.x == other.x", True),
        ("return True", False),
        ("return self.x == other.x or True", False),
        ("return isinstance(other, type(self))", False),
        ("return self.x == self.x", False),
        ("return bool(other)", False),
        ("pass", False),
    ],
)
def test_compares_tells_comparisons_from_pretence(body: str, honest: bool) -> None:
    method = ast.parse(f"def __eq__(self, other):\n    {body}").body[0]
    assert isinstance(method, ast.FunctionDef)
    assert compares(method) is honest


def findings(code: str, tests: str, target: str) -> dict[str, bool]:
    """Gates with an objection to a new module, and whether they block."""
    lines = code.split("\n")
    patch = f"diff --git a/x.py b/x.py\n+++ b/x.py\n@@ -0,0 +1,{len(lines)} @@\n" + "\n".join(
        f"+{line}" for line in lines
    )
    found = run_gates(patch, [target], {"x.py": code.encode(), "test_x.py": tests.encode()})
    return {finding["gate"]: finding["blocking"] for finding in found}


REASON = (
    "def test_a():\n    assert f(404) == 'Not Found'\n\n\ndef test_b():\n    assert f(2) == 3\n"
)


def test_hard_coded_table_that_may_be_the_meaning_is_a_doubt() -> None:
    code = "def f(code):\n    return {404: 'Not Found'}[code]"
    assert findings(code, REASON, "test_x.py::test_a") == {"possible_answers": False}


def test_hard_coded_table_that_knows_more_blocks_nothing() -> None:
    code = "def f(code):\n    return {2: 3, 3: 5, 5: 7, 7: 11}[code]"
    assert findings(code, REASON, "test_x.py::test_b") == {"possible_answers": False}


def test_hard_coded_answers_of_other_tests_are_no_finding() -> None:
    code = "def f(x):\n    if x == 2:\n        return 3\n    return x"
    assert findings(code, REASON, "test_x.py::test_a") == {}
    assert findings(code, REASON, "test_x.py::test_b") == {"hard_coded_answers": True}


def test_unreadable_files_are_told_by_header() -> None:
    header = "diff --git a/{0} b/{0}\nnew file mode {1}\n"
    for path, mode in (("lib", "160000"), ("link", "120000"), ("calc.so", "100644")):
        (finding,) = run_gates(header.format(path, mode), [])
        assert finding["gate"] == "unreadable_files"
    assert run_gates(header.format("run.sh", "100755"), []) == []
