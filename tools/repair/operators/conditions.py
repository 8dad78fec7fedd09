"""Conditions: negated, joined, dropped, added, narrowed and widened."""

import ast
import itertools
from collections.abc import Iterator

from ..edits import SpanEdit
from .site import Change, Site

_LOGIC = (ast.BoolOp, ast.IfExp, ast.Lambda)


def swap_and_or(site: Site[ast.BoolOp]) -> Iterator[Change]:
    """`a and b` to `a or b`."""
    old, new = ("and", "or") if isinstance(site.node.op, ast.And) else ("or", "and")
    for pair in itertools.pairwise(site.node.values):
        yield from site.between("and-or", 1.0, pair, old, new)


def drop_condition(site: Site[ast.BoolOp]) -> Iterator[Change]:
    """`a and b` to `a` or `b`."""
    sign = " and " if isinstance(site.node.op, ast.And) else " or "
    for dropped in site.node.values:
        kept = [_joinable(site, value) for value in site.node.values if value is not dropped]
        yield from site.become("drop-condition", 1.3, sign.join(kept))


def negate(site: Site[ast.expr]) -> Iterator[Change]:
    """`if a` to `if not a`."""
    if site.scope.is_condition(site.node) and not isinstance(
        site.node, ast.Compare | ast.UnaryOp | ast.Constant
    ):
        yield from site.become("negation", 1.4, f"not {site.operand()}")


def negate_value(site: Site[ast.Return]) -> Iterator[Change]:
    """`return a` to `return not a` where the function answers yes or no."""
    value = site.node.value
    if value and site.scope.kinds(value) in (None, {"bool"}) and isinstance(value, ast.Call):
        yield from site.become("negation", 1.7, f"not {site.operand(value)}", value)


def add_condition(site: Site[ast.expr]) -> Iterator[Change]:
    """`if a` to `if a and b` or `if a or b`, where `b` is a condition at hand."""
    if site.field not in {"test", "ifs"}:
        return
    text = _joinable(site, site.node)
    for other, more in site.scope.predicates(site.line, site.node).items():
        if other == site.text:
            continue
        first, guard = " is None" in other, " is not None" in other or " in " in other
        cost = 2.2 + more
        yield from site.become(
            "widen", cost, f"{other} or {text}" if first else f"{text} or {other}"
        )
        narrowed = f"{other} and {text}" if guard else f"{text} and {other}"
        yield from site.become("narrow", cost, narrowed)
        if first:
            present = other.replace(" is None", " is not None")
            yield from site.become("narrow", cost + 0.2, f"{present} and {text}")
        elif more <= 0.1 and not other.startswith("not "):
            yield from site.become("narrow", cost + 0.2, f"{text} and not ({other})")


def replace_condition(site: Site[ast.expr]) -> Iterator[Change]:
    """A condition becomes another one, or (dearly) a constant."""
    if site.field not in {"test", "ifs"}:
        return
    for other, more in site.scope.predicates(site.line, site.node).items():
        yield from site.become("other-condition", 2.8 + more, other)
    yield from site.become("constant-condition", 2.8, "True")
    yield from site.become("constant-condition", 2.8, "False")


def swap_branches(site: Site[ast.IfExp]) -> Iterator[Change]:
    """`a if c else b` to `b if c else a`, `a` or `b`."""
    node = site.node
    body, test, other = map(site.write, (node.body, node.test, node.orelse))
    yield from site.become("swap-branches", 1.2, f"{other} if {test} else {body}")
    yield from site.become("drop-branch", 1.8, body)
    yield from site.become("drop-branch", 1.8, other)


def change_filter(site: Site[ast.comprehension]) -> Iterator[Change]:
    """Drop the conditions of a comprehension, or give it one."""
    node, text = site.node, site.source.text
    end = site.source.span((node.ifs or [node.iter])[-1])[1]
    if node.ifs:
        start = site.source.span(node.iter)[1]
        if text[start : site.source.span(node.ifs[0])[0]].strip() == "if":
            yield site.edit("drop-filter", 1.6, SpanEdit(start, end, ""))
        return
    if text[end : end + 1] not in {")", "]", "}", " ", "\n"}:
        return
    names = [name.id for name in ast.walk(node.target) if isinstance(name, ast.Name)]
    tests = ("> 0", ">= 0", "!= 0", "< 0", "% 2 == 0", "% 2 == 1", "is not None")
    found = names + [f"not {name}" for name in names]
    found += [f"{name} {test}" for name in names for test in tests]
    for name, other in itertools.product(names, site.scope.near(node.target.lineno, 8)):
        if other not in names:
            found += [f"{name} {sign} {other}" for sign in ("!=", "==", "<", ">", "<=", ">=")]
            found += [f"{name} in {other}", f"{name} not in {other}"]
    for condition in dict.fromkeys([*found, *site.scope.conditions]):
        yield site.edit("add-filter", 2.5, SpanEdit(end, end, f" if {condition}"))


def _joinable(site: Site[ast.BoolOp] | Site[ast.expr], node: ast.expr) -> str:
    return site.operand(node) if isinstance(node, _LOGIC) else site.write(node)
