from pathlib import Path
from textwrap import dedent

import pytest

from tools.repair.edits import apply_spans
from tools.repair.kinds import Kinds
from tools.repair.operators import changes
from tools.repair.ranking import Ranker
from tools.repair.scope import Scope
from tools.repair.source import SourceFile


def proposals(
    folder: Path, text: str, types: dict[str, str] | None = None, unit: str = "f"
) -> dict[str, str]:
    """Return the operator that proposes each changed text of the unit."""
    path = folder / "m.py"
    path.write_text(dedent(text).lstrip("\n"))
    file = SourceFile.read(str(path))
    kinds = {name: Kinds(kind.split()) for name, kind in (types or {}).items()}
    target = next(u for key, u in file.units.items() if key.name.endswith(unit))
    scope = Scope(target, file.tree, kinds)
    found = {}
    for change in changes(scope, range(1000)):
        found.setdefault(file.text_with(target.edited(change.edits)), change.operator)
    return found


EXPRESSIONS = [
    ("comparison", "a < b", "a <= b"),
    ("comparison", "a == b", "a != b"),
    ("comparison", "a in b", "a not in b"),
    ("comparison", "a is None", "a is not None"),
    ("boundary", "a < 3", "a <= 2"),
    ("swap-operands", "a in b", "b in a"),
    ("arithmetic", "a + b", "a - b"),
    ("arithmetic", "a / b", "a // b"),
    ("swap-operands", "a - b", "b - a"),
    ("drop-operand", "a + b", "a"),
    ("regroup", "a + b * c", "(a + b) * c"),
    ("off-by-one", "a", "a - 1"),
    ("off-by-one", "a * b < c", "a * b - 1 < c"),
    ("sign", "-a", "a"),
    ("negation", "not a", "a"),
    ("and-or", "a and b", "a or b"),
    ("drop-condition", "a and b and c", "a and c"),
    ("swap-branches", "a if b else c", "c if b else a"),
    ("drop-filter", "[x for x in a if x]", "[x for x in a]"),
    ("add-filter", "[x for x in a]", "[x for x in a if x > 0]"),
    ("constant", "a + 1", "a + 2"),
    ("constant", "a * 0.5", "a * 5.0"),
    ("boolean", "g(a, True)", "g(a, False)"),
    ("string", '"abc"', '"Abc"'),
    ("none-to-value", "[None]", "[0]"),
    ("variable", "a", "b"),
    ("function", "min(a, b)", "max(a, b)"),
    ("method", "a.lower()", "a.upper()"),
    ("attribute", "a.width + b.height", "a.height + b.height"),
    ("drop-attribute", "a.next", "a"),
    ("swap-arguments", "g(a, b)", "g(b, a)"),
    ("drop-argument", "g(a, key=b)", "g(a)"),
    ("add-argument", "g(a)", "g(a, b)"),
    ("keyword", "sorted(a)", "sorted(a, reverse=True)"),
    ("unwrap", "abs(a)", "a"),
    ("unwrap", "a.strip()", "a"),
    ("range", "range(a)", "range(1, a + 1)"),
    ("slice", "a[:b]", "a[b:]"),
    ("slice", "a[b]", "a[b:]"),
    ("drop-index", "a[b]", "a"),
    ("swap-index", "a[b][c]", "a[c][b]"),
    ("swap-elements", "(a, b)", "(b, a)"),
    ("drop-element", "[a, b]", "[b]"),
    ("empty-list", "[]", "[[]]"),
    ("wrap-number", "a", "abs(a)"),
    ("part", "a", "a[1:]"),
    ("wrap", "a", "sorted(a)"),
    ("copy", "a", "a.copy()"),
    ("text-method", "a", "a.lower()"),
    ("mapping-view", "a", "a.items()"),
    ("concatenate", "a", "[b] + a"),
    ("default-for-none", "a", "a or []"),
    ("combine", "a", "max(b, a)"),
    ("borrow", "g(a, b + c)", "g(b + c, b + c)"),
]


@pytest.mark.parametrize(
    ("operator", "before", "after"), EXPRESSIONS, ids=[f"{o}: {a}" for o, _, a in EXPRESSIONS]
)
def test_expression_operator_proposes_the_change(
    tmp_path: Path, operator: str, before: str, after: str
) -> None:
    types = {"a": "list"} if operator == "concatenate" else {}
    text = "def f(a, b, c):\n    return {}\n"
    assert proposals(tmp_path, text.format(before), types)[text.format(after)] == operator


STATEMENTS = {
    "negation": ("if a:\n    b = c", "if not a:\n    b = c"),
    "narrow": ("if a:\n    b = c\nif c:\n    pass", "if a and c:\n    b = c\nif c:\n    pass"),
    "widen": (
        "while a.next is None:\n    a = b",
        "while a is None or a.next is None:\n    a = b",
    ),
    "constant-condition": ("if a:\n    b = c", "if False:\n    b = c"),
    "boolean-to-condition": ("while True:\n    g(b)", "while b:\n    g(b)"),
    "augmented-assignment": ("a ^= b", "a &= b"),
    "augment": ("a = b", "a += b"),
    "target": ("a.x = b\nc = a[b]", "a[b] = b\nc = a[b]"),
    "return": ("g(a)", "return g(a)"),
    "swap-key-and-value": ("a[b] = c", "a[c] = b"),
    "assign-result": ("a.merge(b)", "a = a.merge(b)"),
    "jump": ("while a:\n    break", "while a:\n    continue"),
    "exception": ("raise KeyError(a)", "raise ValueError(a)"),
    "delete": ("g(a)\ng(b)", "g(b)"),
    "swap-statements": ("g(a)\ng(b)", "g(b)\ng(a)"),
    "move-statement": ("g(a)\ng(b)\ng(c)", "g(b)\ng(c)\ng(a)"),
    "dedent": ("for x in a:\n    g(x)\n    g(b)", "for x in a:\n    g(x)\ng(b)"),
    "indent": ("for x in a:\n    g(x)\ng(b)", "for x in a:\n    g(x)\n    g(b)"),
    "guard": ("g(a)\nh(b)", "if not a:\n    g(a)\nh(b)"),
    "branch-word": ("if a:\n    a = b", "while a:\n    a = b"),
    "unwrap-branch": ("if a:\n    g(b)", "g(b)"),
    "insert-update": ("b = a\ng(a)", "b = a\nb.append(a)\ng(a)"),
    "insert-return": ("g(a)", "g(a)\nreturn a"),
    "insert-copy": ("if a:\n    b = 1\ng(b)", "if a:\n    b = 1\nb = 1\ng(b)"),
    "insert-guard": ("g(a)", "if not a:\n    return None\ng(a)"),
    "yield": ("yield a", "yield from a"),
}


@pytest.mark.parametrize("operator", STATEMENTS)
def test_statement_operator_proposes_the_change(tmp_path: Path, operator: str) -> None:
    before, after = STATEMENTS[operator]
    head = "def f(a, b, c):\n"
    texts = [head + "".join(f"    {line}\n" for line in t.split("\n")) for t in (before, after)]
    assert proposals(tmp_path, texts[0])[texts[1]] == operator


def test_mutable_default_is_replaced_by_none(tmp_path: Path) -> None:
    found = proposals(tmp_path, "def f(a, seen=[]):\n    seen.append(a)\n    return seen\n")
    assert (
        found[
            "def f(a, seen=None):\n    if seen is None:\n        seen = []\n"
            "    seen.append(a)\n    return seen\n"
        ]
        == "mutable-default"
    )


def test_default_argument_gets_neighbouring_values(tmp_path: Path) -> None:
    found = proposals(tmp_path, "def f(a, n=1, strict=True):\n    return a\n")
    assert found["def f(a, n=2, strict=True):\n    return a\n"] == "default"
    assert found["def f(a, n=1, strict=False):\n    return a\n"] == "default"


def test_module_constant_gets_neighbouring_values(tmp_path: Path) -> None:
    found = proposals(tmp_path, "RATE = 3\n", unit="RATE")
    assert found["RATE = 4\n"] == "constant"


def test_replaced_operand_gets_parentheses_only_where_needed(tmp_path: Path) -> None:
    found = proposals(tmp_path, "def f(a, b):\n    return a * 2 < b\n", {"a": "int", "b": "int"})
    assert "def f(a, b):\n    return (a - 1) * 2 < b\n" in found
    assert "def f(a, b):\n    return a * 2 < b - 1\n" in found


def test_replaced_operand_in_parentheses_gets_no_others(tmp_path: Path) -> None:
    found = proposals(tmp_path, "def f(a, b):\n    return (a) * b\n", {"a": "int"})
    assert "def f(a, b):\n    return (a - 1) * b\n" in found


def test_changes_of_an_f_string_annotation_or_decorator_are_not_proposed(tmp_path: Path) -> None:
    head = "@cache(size=1)\ndef f(a: int) -> int:\n"
    found = proposals(tmp_path, head + '    return f"{a + 1}"\n')
    assert all(text.startswith(head) for text in found)
    assert all("{a + 1}" in text for text in found if 'return f"' in text)


def test_changes_keep_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_bytes(b"def f(a):\r\n    g(a)\r\n    g(1)\r\n")
    file = SourceFile.read(str(path))
    (unit,) = file.units.values()
    for change in changes(Scope(unit, file.tree, {}), range(10)):
        text = apply_spans(unit.text, change.edits)
        assert text.count("\n") == text.count("\r\n")


def test_changes_at_lines_no_test_executed_are_not_proposed(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("def f(a):\n    if a:\n        return 1 + a\n    return 2 + a\n")
    file = SourceFile.read(str(path))
    (unit,) = file.units.values()
    found = list(changes(Scope(unit, file.tree, {}), {2, 4}))
    assert not any(change.line == 3 for change in found)
    assert any(change.line == 4 for change in found)


@pytest.mark.parametrize(
    ("likely", "unlikely"),
    [
        ("    return max(a, b)", "    return a"),
        ("    return min(b, a)", "    return min(a, a)"),
    ],
)
def test_ranker_change_that_orphans_a_variable_costs_more(
    tmp_path: Path, likely: str, unlikely: str
) -> None:
    path = tmp_path / "m.py"
    path.write_text("def f(a, b):\n    return min(a, b)\n")
    file = SourceFile.read(str(path))
    (unit,) = file.units.values()
    scope = Scope(unit, file.tree, {})
    ranker = Ranker(scope)
    costs = {
        unit.edited(change.edits).text.split("\n")[1]: ranker.cost(change)
        for change in changes(scope, range(10))
    }
    assert costs[likely] + 0.5 < costs[unlikely]
