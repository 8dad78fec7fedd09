"""What the targets' tests say: which values they write side by side."""

import ast
from collections.abc import Hashable, Iterator
from typing import Any

from nodes.gates.constants import UnknownError, constant
from nodes.gates.patch_text import Review

Atom = Hashable
"""A value in a form in which 2, 2.0 and "2", or a list and its text, are the same."""

Row = frozenset[Atom]
"""The atoms of one assertion, or of one line of a table in a test."""

DEPTH = 3
"""Names that are followed from an assertion to a value."""


def atom(value: Any) -> Atom:
    """The form in which values are compared."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e300 else repr(value)
    if isinstance(value, str | bytes):
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        return _read(text)
    if isinstance(value, tuple):
        return tuple(atom(item) for item in value)
    return repr(value)


def _read(text: str) -> Atom:
    """Text that spells a number or a list is that number or list."""
    if len(text) < 200 and any(character.isdigit() for character in text):
        for spelling in (text, f"[{text}]"):
            try:
                return atom(constant(ast.parse(spelling.strip(), mode="eval").body))
            except (SyntaxError, ValueError, UnknownError, RecursionError, MemoryError):
                continue
    return text


def rows(review: Review) -> list[Row]:
    """What the tests of the targets write side by side, each row at most once."""
    found: dict[Row, None] = {}
    wanted: dict[str, set[str]] = {}
    for target in review.targets:
        path, _, name = target.partition("::")
        wanted.setdefault(path, set()).add(name.split("::")[-1].split("[")[0])
    for path, names in wanted.items():
        if path in review.tests:
            for row in _rows_of(review.tests[path], names):
                found[row] = None
    return list(found)


def _rows_of(tree: ast.Module, names: set[str]) -> Iterator[Row]:
    values = _assigned(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in names:
            local = {**values, **_assigned(node)}
            for statement in ast.walk(node):
                if isinstance(statement, ast.Assert):
                    yield _row(statement, local) | _truth(statement.test)
                elif isinstance(statement, ast.Expr | ast.With):
                    yield _row(statement, local)
            yield from _table_rows(node)
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            yield from _table_rows(statement)


def _truth(test: ast.expr) -> Row:
    """What an assertion without a comparison expects."""
    match test:
        case ast.UnaryOp(op=ast.Not()):
            return frozenset({atom(False)})
        case ast.Compare():
            return frozenset()
    return frozenset({atom(True)})


def _table_rows(node: ast.AST) -> Iterator[Row]:
    """Each line of a table: the pairs of a dictionary, the lists in a list."""
    for part in ast.walk(node):
        if isinstance(part, ast.Dict):
            for key, value in zip(part.keys, part.values, strict=True):
                if key is not None:
                    yield _row(key, {}) | _row(value, {})
        elif isinstance(part, ast.List | ast.Tuple | ast.Set):
            yield from (
                _row(item, {}) for item in part.elts if isinstance(item, ast.List | ast.Tuple)
            )
            yield from (_row(item, {}) for item in part.elts if isinstance(item, ast.Call))


def _assigned(node: ast.AST) -> dict[str, ast.expr]:
    return {
        target.id: part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Assign)
        for target in part.targets
        if isinstance(target, ast.Name)
    }


def _row(node: ast.AST, names: dict[str, ast.expr], depth: int = 0) -> Row:
    found: set[Atom] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in names and depth < DEPTH:
            found |= _row(names[part.id], names, depth + 1)
        elif isinstance(part, ast.expr):
            try:
                found.add(atom(constant(part)))
            except UnknownError:
                continue
    return frozenset(found)
