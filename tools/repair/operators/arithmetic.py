"""Arithmetic: another operator, other operands, another grouping, one more or one less."""

import ast
from collections.abc import Iterator

from ..edits import SpanEdit
from ..kinds import NUMBERS, may_be
from .site import Change, Site

SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<",
    ast.RShift: ">>", ast.MatMult: "@",
}  # fmt: skip
LIKELY = {
    "+": ("-", "*", "//", "%", "|"),
    "-": ("+", "*", "//", "%", "/", "^"),
    "*": ("+", "/", "**", "//", "-", "%"),
    "/": ("//", "*", "%", "-", "+"),
    "//": ("/", "%", "*", "-", ">>"),
    "%": ("//", "/", "*", "-", "+", "&"),
    "**": ("*", "//", "<<"),
    "&": ("|", "^", "-", "%"),
    "|": ("&", "^", "+"),
    "^": ("&", "|", "-", "**"),
    "<<": (">>", "*"),
    ">>": ("<<", "//"),
    "@": ("*",),
}
_COMMUTES = {"*", "&", "|", "^"}
_NOT_NUMBERS = (ast.Constant, ast.List, ast.Dict, ast.ListComp, ast.GeneratorExp, ast.Set)


def swap_operator(site: Site[ast.BinOp]) -> Iterator[Change]:
    """`a + b` to `a - b`, ..."""
    node, sign = site.node, SIGNS[type(site.node.op)]
    on_text = site.scope.kinds(node.left) or frozenset({"int"})
    unlikely = 1.0 if on_text <= {"str", "list"} else 0.0
    for rank, other in enumerate(LIKELY[sign]):
        cost = 1.0 + 0.12 * rank + unlikely
        yield from site.between("arithmetic", cost, (node.left, node.right), sign, other)


def swap_operands(site: Site[ast.BinOp]) -> Iterator[Change]:
    """`a - b` to `b - a`."""
    node, sign = site.node, SIGNS[type(site.node.op)]
    commutes = sign in _COMMUTES or (
        sign == "+" and may_be(site.scope.kinds(node.left) or frozenset(), NUMBERS)
    )
    if not commutes:
        swapped = f"{site.operand(node.right)} {sign} {site.operand(node.left)}"
        yield from site.become("swap-operands", 1.1, swapped)


def drop_operand(site: Site[ast.BinOp]) -> Iterator[Change]:
    """`a + b` to `a` or `b`."""
    yield from site.become("drop-operand", 1.5, site.write(site.node.left))
    yield from site.become("drop-operand", 1.5, site.write(site.node.right))


def regroup(site: Site[ast.BinOp]) -> Iterator[Change]:
    """`a + b * c` to `(a + b) * c`, and back."""
    node, sign = site.node, SIGNS[type(site.node.op)]
    if isinstance(node.left, ast.BinOp):
        inner = SIGNS[type(node.left.op)]
        right = f"({site.operand(node.left.right)} {sign} {site.operand(node.right)})"
        yield from site.become("regroup", 1.7, f"{site.operand(node.left.left)} {inner} {right}")
    if isinstance(node.right, ast.BinOp):
        inner = SIGNS[type(node.right.op)]
        left = f"({site.operand(node.left)} {sign} {site.operand(node.right.left)})"
        yield from site.become("regroup", 1.7, f"{left} {inner} {site.operand(node.right.right)}")


def drop_sign(site: Site[ast.UnaryOp]) -> Iterator[Change]:
    """`-a` to `a`, `not a` to `a`."""
    operator = "negation" if isinstance(site.node.op, ast.Not) else "sign"
    yield from site.become(operator, 1.0, site.write(site.node.operand))


def swap_augmented(site: Site[ast.AugAssign]) -> Iterator[Change]:
    """`a += b` to `a -= b`, ... or `a = b`."""
    sign = SIGNS[type(site.node.op)]
    start = site.source.span(site.node.target)[1]
    place = site.source.text.index(f"{sign}=", start)
    for rank, other in enumerate((*LIKELY[sign], "")):
        edit = SpanEdit(place, place + len(sign) + 1, f"{other}=")
        yield site.edit("augmented-assignment", 1.0 + 0.1 * rank, edit)


def off_by_one(site: Site[ast.expr]) -> Iterator[Change]:
    """`a` to `a + 1` or `a - 1` where `a` is, or may be, a number."""
    node, kinds = site.node, site.kinds
    if not _takes_arithmetic(site) or not may_be(kinds, NUMBERS):
        return
    text = site.write(node)
    if isinstance(node, ast.BinOp):
        cost = 1.4 if isinstance(node.right, ast.Constant) else 1.2
    else:
        text, cost = site.operand(), 1.2 if kinds else 1.9
    yield from site.become("off-by-one", cost, f"{text} - 1")
    yield from site.become("off-by-one", cost, f"{text} + 1")


def combine_with_variable(site: Site[ast.expr]) -> Iterator[Change]:
    """`a` to `a - b`, `a * b`, `min(a, b)`, ... with a number `b` that is at hand."""
    if not _takes_arithmetic(site) or not may_be(site.kinds, NUMBERS):
        return
    text, base = site.operand(), 2.1 if site.kinds else 2.6
    for rank, name in enumerate(site.scope.numbers_near(site.line)):
        if name == text:
            continue
        cost = base + 0.02 * rank + (0.0 if name in site.scope.types else 0.3)
        for sign, more in (("-", 0.0), ("+", 0.0), ("*", 0.3), ("//", 0.4), ("%", 0.4)):
            yield from site.become("combine", cost + more, f"{text} {sign} {name}")
        yield from site.become("combine", cost + 0.4, f"{name} - {text}")
        yield from site.become("combine", cost, f"max({name}, {site.text})")
        yield from site.become("combine", cost, f"min({name}, {site.text})")


def _takes_arithmetic(site: Site[ast.expr]) -> bool:
    return not isinstance(site.node, _NOT_NUMBERS) and not site.scope.is_condition(site.node)
