"""Where product code answers to single values: branches, tables, cases, handlers."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nodes.gates.constants import UnknownError, constant, known

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


COMPARING_CALLS = {"__eq__", "isclose", "startswith", "endswith"}


@dataclass(frozen=True)
class Entry:
    """`keys`, one of which is met, lead to `value`; `owner` is what the entries of one are of."""

    keys: tuple[Any, ...]
    value: Any
    line: int
    owner: ast.AST
    kind: str = "table"
    """table, branch, handler or arithmetic."""


def entries(tree: ast.Module) -> Iterator[Entry]:
    """Everything in a module by which a single value could be recognised and answered."""
    for node in ast.walk(tree):
        match node:
            case ast.If() | ast.IfExp():
                yield from _branches(node, tree)
            case ast.Match():
                yield from _cases(node)
            case ast.BinOp(left=left, right=right):
                yield from _arithmetic(node, left, right)
            case ast.ExceptHandler():
                yield from _handler(node)
            case _:
                yield from _tables(node)
                yield from _chosen(node)


def _tables(node: ast.AST) -> Iterator[Entry]:
    """Dictionaries, lists of pairs, lists beside each other."""
    match node:
        case ast.Dict(keys=keys, values=values):
            yield from _pairs(node, zip(keys, values, strict=True))
        case ast.Call(func=ast.Name(id="zip"), args=[left, right]):
            yield from _sides(node, left, right)
        case ast.List(elts=items) | ast.Tuple(elts=items) if _is_table(items):
            yield from _pairs(node, ((item.elts[0], item.elts[1]) for item in items))  # type: ignore[attr-defined]
        case ast.Subscript(value=left, slice=ast.Call(func=ast.Attribute(value=right))):
            yield from _sides(node, right, left)


def _chosen(node: ast.AST) -> Iterator[Entry]:
    """`[other, answer][x == key]` and `x == key and answer`."""
    answers: list[ast.expr] = []
    keys: tuple[Any, ...] = ()
    match node:
        case ast.Subscript(value=ast.List(elts=items) | ast.Tuple(elts=items), slice=test):
            keys, answers = tested(test), items
        case ast.BoolOp(op=ast.And(), values=[*tests, answer]):
            keys, answers = tuple(key for test in tests for key in tested(test)), [answer]
    if keys:
        yield from (Entry(keys, value, node.lineno, node, "branch") for value in _known(answers))  # type: ignore[attr-defined]


def tested(node: ast.AST) -> tuple[Any, ...]:
    """The constants that a condition compares something with for equality or membership."""
    found: list[Any] = []
    for part in ast.walk(node):
        if isinstance(part, ast.Compare):
            found += _compared(part)
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
            found += _known(part.args) if part.func.attr in COMPARING_CALLS else []
    return tuple(found)


def _compared(node: ast.Compare) -> Iterator[Any]:
    sides = [node.left, *node.comparators]
    if all(known(side) for side in sides):
        return
    bounds = []
    for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
        constants = _known([left, right])
        if isinstance(operator, ast.Eq | ast.Is):
            yield from constants
        elif isinstance(operator, ast.In):
            yield from (item for value in constants for item in _members(value))
        elif isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            bounds += [value for value in constants if isinstance(value, int | float)]
    if len(bounds) == 2 and abs(bounds[0] - bounds[1]) <= 2:
        yield sum(bounds) / 2  # there is room for one whole number between them


def _members(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _known(nodes: list[ast.expr]) -> list[Any]:
    values = []
    for node in nodes:
        try:
            values.append(constant(node))
        except UnknownError:
            continue
    return values


def _branches(node: ast.If | ast.IfExp, tree: ast.Module) -> Iterator[Entry]:
    keys = tested(node.test)
    if keys:
        owner = enclosing(tree, node)
        answers = [node.body] if isinstance(node, ast.IfExp) else list(results(node.body))
        for value in _known(answers):
            yield Entry(keys, value, node.lineno, owner, "branch")


def results(body: list[ast.stmt]) -> Iterator[ast.expr]:
    """What the statements of a body return, yield or assign."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Return | ast.Assign | ast.Yield | ast.NamedExpr) and node.value:
                yield node.value


def _cases(node: ast.Match) -> Iterator[Entry]:
    for case in node.cases:
        keys = []
        for part in ast.walk(case.pattern):
            if isinstance(part, ast.MatchValue):
                keys += _known([part.value])
            elif isinstance(part, ast.MatchSequence):
                items = [item.value for item in part.patterns if isinstance(item, ast.MatchValue)]
                keys.append(tuple(_known(items)))
        if case.guard is not None:
            keys += tested(case.guard)
        if keys:
            for value in _known(list(results(case.body))):
                yield Entry(tuple(keys), value, case.pattern.lineno, node, "branch")


def _pairs(owner: ast.AST, pairs: Iterator[tuple[ast.expr | None, ast.expr]]) -> Iterator[Entry]:
    for key, value in pairs:
        answer = value.body if isinstance(value, ast.Lambda) else value
        if key is not None and known(key) and known(answer):
            yield Entry((constant(key),), constant(answer), key.lineno, owner)


def _sides(owner: ast.expr, left: ast.expr, right: ast.expr) -> Iterator[Entry]:
    if known(left) and known(right):
        sides = constant(left), constant(right)
        if all(isinstance(side, tuple | str) for side in sides):
            for key, value in zip(*sides, strict=False):
                yield Entry((key,), value, owner.lineno, owner)


def _is_table(items: list[ast.expr]) -> bool:
    return bool(items) and all(
        isinstance(item, ast.Tuple | ast.List) and len(item.elts) == 2 for item in items
    )


def _arithmetic(node: ast.BinOp, left: ast.expr, right: ast.expr) -> Iterator[Entry]:
    """`x + (x == 2)`, `3 * (x == 2)`: a comparison that is counted with."""
    for side, other in ((left, right), (right, left)):
        if isinstance(side, ast.Compare) and (keys := tuple(_compared(side))):
            value = (_known([other]) or [None])[0]
            yield Entry(keys, value, node.lineno, node, "arithmetic")


def _handler(node: ast.ExceptHandler) -> Iterator[Entry]:
    names = {"Exception", "BaseException"}
    caught = (
        {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)}
        if node.type
        else names
    )
    if caught & names:
        for value in _known(list(results(node.body))):
            yield Entry((), value, node.lineno, node, "handler")


def enclosing(tree: ast.AST, node: ast.AST) -> ast.AST:
    """The innermost function around a node, or the module."""
    best = tree
    for candidate in ast.walk(tree):
        if isinstance(candidate, Function) and any(part is node for part in ast.walk(candidate)):
            best = candidate
    return best


def mentions(node: ast.AST, names: set[str]) -> bool:
    """Whether a name, or an attribute of that name, occurs in the code."""
    return any(
        (isinstance(part, ast.Name) and part.id in names)
        or (isinstance(part, ast.Attribute) and part.attr in names)
        for part in ast.walk(node)
    )
