"""Comparison operators and the boundaries they draw."""

import ast
from collections.abc import Iterator

from ..edits import SpanEdit
from .site import Change, Site

_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_LIKELY = {
    "<": ("<=", ">", ">=", "==", "!="),
    "<=": ("<", ">=", ">", "==", "!="),
    ">": (">=", "<", "<=", "==", "!="),
    ">=": (">", "<=", "<", "==", "!="),
    "==": ("!=", "<=", ">=", "<", ">", "in", "is"),
    "!=": ("==", "<", ">", "<=", ">=", "not in", "is not"),
    "is": ("is not", "=="),
    "is not": ("is", "!="),
    "in": ("not in", "=="),
    "not in": ("in", "!="),
}
_ORDER = {"<", "<=", ">", ">=", "==", "!="}


def swap_comparison(site: Site[ast.Compare]) -> Iterator[Change]:
    """`a < b` to `a <= b`, `a > b`, ... the likely slips first."""
    for left, sign, right in _pairs(site.node):
        for rank, other in enumerate(_LIKELY[sign]):
            yield from site.between("comparison", 0.8 + 0.12 * rank, (left, right), sign, other)


def move_boundary(site: Site[ast.Compare]) -> Iterator[Change]:
    """`a < 3` to `a <= 2`: another sign together with a neighbouring bound."""
    for left, sign, right in _pairs(site.node):
        if not (isinstance(right, ast.Constant) and type(right.value) is int):
            continue
        start, end = site.source.span(left)[1], site.source.span(right)[1]
        for other in (sign for sign in _LIKELY[sign] if sign in _ORDER):
            for bound in (right.value + 1, right.value - 1):
                yield site.edit("boundary", 2.1, SpanEdit(start, end, f" {other} {bound}"))


def swap_compared(site: Site[ast.Compare]) -> Iterator[Change]:
    """`a in b` to `b in a`."""
    pairs = list(_pairs(site.node))
    if len(pairs) == 1 and pairs[0][1] in {"in", "not in", "<", ">"}:
        left, sign, right = pairs[0]
        swapped = f"{site.operand(right)} {sign} {site.operand(left)}"
        yield from site.become("swap-operands", 1.6, swapped)


def fix_truth(site: Site[ast.Compare]) -> Iterator[Change]:
    """A comparison used as a value becomes a constant; costly, for it is seldom right."""
    if not site.scope.is_condition(site.node):
        yield from site.become("constant-condition", 2.6, "True")
        yield from site.become("constant-condition", 2.6, "False")


def _pairs(node: ast.Compare) -> Iterator[tuple[ast.expr, str, ast.expr]]:
    operands = [node.left, *node.comparators]
    for index, operation in enumerate(node.ops):
        yield operands[index], _SIGNS[type(operation)], operands[index + 1]
