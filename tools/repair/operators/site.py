"""Where an operator works: one node of a unit, and the changes it can propose there."""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..edits import SpanEdit
from ..kinds import Kinds
from ..scope import Scope

NodeT = TypeVar("NodeT", bound=ast.AST)

COMPOUND = (
    ast.BinOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Lambda,
    ast.UnaryOp,
    ast.NamedExpr,
    ast.Yield,
    ast.YieldFrom,
    ast.Await,
    ast.GeneratorExp,
)
"""Expressions that need parentheses when they become an operand."""


@dataclass(frozen=True, slots=True)
class Change:
    """One edit an operator proposes; `cost` is lower for what is more often the right fix."""

    operator: str
    cost: float
    line: int
    edits: tuple[SpanEdit, ...]


class Site(Generic[NodeT]):
    """A node with its surroundings. Operators are functions from a site to changes."""

    def __init__(self, scope: Scope, node: NodeT) -> None:
        self.scope = scope
        self.node = node
        self.source = scope.source
        parent, self.field = scope.parents.get(node, (scope.root, ""))
        self.parent = parent

    @property
    def line(self) -> int:
        """The node's first line."""
        return int(getattr(self.node, "lineno", 0))

    @property
    def is_stored(self) -> bool:
        """Whether the node is assigned to or deleted."""
        return isinstance(getattr(self.node, "ctx", None), ast.Store | ast.Del)

    @property
    def is_called(self) -> bool:
        """Whether the node is the function of a call."""
        return self.field == "func"

    @property
    def kinds(self) -> Kinds | None:
        """The kinds of value the node has."""
        return self.scope.kinds(self.node) if isinstance(self.node, ast.expr) else None

    @property
    def text(self) -> str:
        """The node as written."""
        return self.source.segment(self.node)

    def write(self, node: ast.expr) -> str:
        """Return a node of this unit as written."""
        return self.source.segment(node)

    def operand(self, node: ast.expr | None = None) -> str:
        """Return a node (this one by default) as an operand, in parentheses if it needs them."""
        node = node if node is not None else self.node  # type: ignore[assignment]
        assert isinstance(node, ast.expr)
        text = self.source.segment(node)
        return f"({text})" if isinstance(node, COMPOUND) else text

    def edit(self, operator: str, cost: float, *edits: SpanEdit) -> Change:
        """Propose edits as they are, in the file's own line ends."""
        if self.source.newline != "\n":
            edits = tuple(
                SpanEdit(e.start, e.end, re.sub(r"(?<!\r)\n", "\r\n", e.new)) for e in edits
            )
        return Change(operator, round(cost, 3), self.line, edits)

    def become(
        self, operator: str, cost: float, text: str, node: ast.expr | None = None
    ) -> Iterable[Change]:
        """Propose another text for the node (or for one of its parts)."""
        target: ast.AST = node or self.node
        start, end = self.source.span(target)
        if self.source.text[start:end] == text:
            return
        has_them = self.source.text[start - 1 : start] == "(" and self.source.text[end:][:1] == ")"
        if not has_them and self._needs_parentheses(target, text):
            text = f"({text})"
        if start and _is_word(self.source.text[start - 1]) and _is_word(text[0]):
            text = " " + text
        yield self.edit(operator, cost, SpanEdit(start, end, text))

    def between(
        self, operator: str, cost: float, parts: tuple[ast.expr, ast.expr], old: str, new: str
    ) -> Iterable[Change]:
        """Propose another operator sign between two neighbouring operands."""
        start, end = self.source.span(parts[0])[1], self.source.span(parts[1])[0]
        gap = self.source.text[start:end]
        word = old[0].isalpha()
        sign = r"\s+".join(map(re.escape, old.split()))
        pattern = rf"\b{sign}\b" if word else rf"(?<![<>=!*/]){sign}(?![=<>*/])"
        found = re.search(pattern, gap)
        if not found:
            return
        if new[0].isalpha() and not word:
            before, after = gap[: found.start()], gap[found.end() :]
            new = f"{'' if before[-1:].isspace() else ' '}{new}{'' if after[:1].isspace() else ' '}"
        yield self.edit(operator, cost, SpanEdit(start + found.start(), start + found.end(), new))

    def _needs_parentheses(self, node: ast.AST, text: str) -> bool:
        parent, field = self.scope.parents.get(node, (None, ""))
        if parent is None:
            return False
        try:
            written = ast.parse(text, mode="eval").body
        except SyntaxError:
            return False
        if isinstance(written, ast.Tuple) and not text.startswith("("):
            return not isinstance(parent, ast.Assign | ast.Return | ast.Expr)
        return _binding(written) <= _binding(parent, field)


_TIGHT = 11


_LOOSEST: dict[type[ast.AST], int] = {
    ast.BoolOp: 1,
    ast.Compare: 4,
    ast.BinOp: 5,
    ast.UnaryOp: 8,
}
_ARITHMETIC: dict[type[ast.operator], int] = {
    ast.Add: 6,
    ast.Sub: 6,
    ast.Mult: 7,
    ast.Div: 7,
    ast.FloorDiv: 7,
    ast.Mod: 7,
    ast.MatMult: 7,
    ast.Pow: 9,
}
_ASKED: dict[tuple[type[ast.AST], str], int] = {
    (ast.Subscript, "value"): _TIGHT - 1,
    (ast.Call, "func"): _TIGHT - 1,
    (ast.Attribute, "value"): _TIGHT - 1,
    (ast.Await, "value"): _TIGHT - 1,
    (ast.Starred, "value"): _TIGHT - 1,
    (ast.comprehension, "iter"): 0,
    (ast.comprehension, "ifs"): 0,
    (ast.IfExp, "body"): 0,
    (ast.IfExp, "test"): 0,
}


def _binding(node: ast.AST, field: str = "") -> int:
    """How tightly a node holds its parts together; with `field`, what it asks of that part."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return 2
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return 3
    if isinstance(node, ast.BinOp):
        return _ARITHMETIC.get(type(node.op), _LOOSEST[ast.BinOp])
    if type(node) in _LOOSEST:
        return _LOOSEST[type(node)]
    if field:
        return _ASKED.get((type(node), field), -1)
    return 0 if isinstance(node, COMPOUND) else _TIGHT


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
