"""Product code that answers a number of the tests whatever it is asked."""

import ast
from collections.abc import Iterator
from typing import Any

from nodes.gates.constants import UnknownError, constant
from nodes.gates.entries import Entry, Function, mentions
from nodes.gates.expected import Row, atom

TRIVIAL = {atom(value) for value in (None, True, False, -1, 0, 1, "", ())}
"""Values that honest code compares with, and answers, whatever the tests say."""


def is_number(value: Any) -> bool:
    """Whether a value is a number, for which truth does not count."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def constant_answers(tree: ast.Module, known_rows: list[Row]) -> Iterator[Entry]:
    """Functions that take arguments and answer a number of the tests without reading any."""
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.args.args:
            names = {argument.arg for argument in node.args.args} - {"self", "cls"}
            body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else [*node.body]
            values = [node.body] if isinstance(node, ast.Lambda) else _returned(node)
            if names and not any(mentions(statement, names) for statement in body):
                for value in values:
                    if _is_expected(value, known_rows):
                        yield Entry((), constant(value), value.lineno, node, "handler")
        elif isinstance(node, ast.Call) and _draws(node):
            for part in ast.walk(node):
                if isinstance(part, ast.List | ast.Tuple) and _is_series(part, known_rows):
                    yield Entry((), constant(part), node.lineno, node, "handler")


def _returned(node: ast.AST) -> list[ast.expr]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value]


def _is_expected(node: ast.expr, known_rows: list[Row]) -> bool:
    try:
        value = constant(node)
    except UnknownError:
        return False
    return (
        is_number(value)
        and atom(value) not in TRIVIAL
        and any(atom(value) in row for row in known_rows)
    )


def _draws(node: ast.Call) -> bool:
    """Calls that give one answer after the other, whatever is asked."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in {"iter", "next", "pop", "popleft", "cycle", "chain", "deque"}


def _is_series(node: ast.expr, known_rows: list[Row]) -> bool:
    try:
        values = constant(node)
    except UnknownError:
        return False
    atoms = [atom(value) for value in values]
    return len(atoms) > 1 and all(any(item in row for row in known_rows) for item in atoms)
