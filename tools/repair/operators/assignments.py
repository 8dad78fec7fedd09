"""Assignments, returns and jumps: another kind of statement with the same parts."""

import ast
from collections.abc import Iterator

from ..edits import SpanEdit
from .site import Change, Site


def change_assignment(site: Site[ast.Assign]) -> Iterator[Change]:
    """`a = b` to `a += b` or `return b`."""
    if len(site.node.targets) != 1:
        return
    target, value = site.node.targets[0], site.node.value
    if not isinstance(target, ast.Name | ast.Subscript | ast.Attribute):
        return
    start = site.source.span(target)[1]
    sign = site.source.text.index("=", start)
    for operator in ("+", "-", "*", "|", "&", "//"):
        cost = 1.5 if operator in "+-" else 1.9
        yield site.edit("augment", cost, SpanEdit(sign, sign + 1, f"{operator}="))
    begin = site.source.span(site.node)[0]
    yield site.edit("return", 2.1, SpanEdit(begin, site.source.span(value)[0], "return "))


def swap_key_and_value(site: Site[ast.Assign]) -> Iterator[Change]:
    """`a[b] = c` to `a[c] = b`."""
    target, value = site.node.targets[0], site.node.value
    if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
        yield site.edit(
            "swap-key-and-value",
            1.6,
            SpanEdit(*site.source.span(target.slice), site.write(value)),
            SpanEdit(*site.source.span(value), site.write(target.slice)),
        )


def change_target(site: Site[ast.Assign] | Site[ast.AugAssign]) -> Iterator[Change]:
    """`a = c` to `b = c`, where `b` is anything the unit could assign to."""
    node = site.node
    target = node.target if isinstance(node, ast.AugAssign) else node.targets[0]
    if not isinstance(target, ast.Name | ast.Subscript | ast.Attribute):
        return
    for text, (other, size) in site.scope.expressions.items():
        slices = isinstance(other, ast.Subscript) and isinstance(other.slice, ast.Slice)
        foreign = isinstance(other, ast.Name) and other.id not in site.scope.definitions
        if isinstance(other, ast.Name | ast.Subscript | ast.Attribute) and not (slices or foreign):
            yield from site.become("target", 2.1 + 0.02 * size, text, target)


def use_result(site: Site[ast.Expr]) -> Iterator[Change]:
    """`f(a)` as a statement to `return f(a)`, `a = f(a)`, `yield f(a)`, ..."""
    value = site.node.value
    if isinstance(value, ast.Constant | ast.Yield | ast.YieldFrom):
        return
    start, end = site.source.span(site.node)
    for operator, cost, prefix in (
        ("return", 1.3, "return "),
        ("yield", 1.7, "yield from "),
        ("yield", 1.9, "yield "),
    ):
        yield site.edit(operator, cost, SpanEdit(start, start, prefix))
    if not isinstance(value, ast.Call):
        return
    if isinstance(value.func, ast.Attribute):
        base = site.write(value.func.value)
        yield site.edit("assign-result", 1.6, SpanEdit(start, start, f"{base} = "))
        for argument in value.args:
            text = site.write(argument)
            yield site.edit("assign", 2.2, SpanEdit(start, end, f"{base} = {text}"))
            yield site.edit("assign", 2.4, SpanEdit(start, end, f"{base} += {text}"))
    for argument in value.args:
        if isinstance(argument, ast.Name | ast.Attribute | ast.Subscript):
            edit = SpanEdit(start, start, f"{site.write(argument)} = ")
            yield site.edit("assign-result", 1.8, edit)
    for name in site.scope.near(site.line, 6):
        yield site.edit("assign-result", 2.3, SpanEdit(start, start, f"{name} = "))


def change_return(site: Site[ast.Return]) -> Iterator[Change]:
    """`return` to `return a`; `return a` to `yield a`."""
    start, end = site.source.span(site.node)
    if site.node.value is None:
        for text, more in site.scope.values(site.line).items():
            yield site.edit("return-value", 1.7 + more, SpanEdit(start, end, f"return {text}"))
        return
    for keyword in ("yield", "yield from"):
        yield site.edit("yield", 2.0, SpanEdit(start, start + len("return"), keyword))


def change_jump(site: Site[ast.stmt]) -> Iterator[Change]:
    """`break` to `continue`, `pass` to `return a`, ..."""
    for text in ("break", "continue", "pass", "return"):
        yield from site.become("jump", 1.3, text)
    for text, more in site.scope.values(site.line).items():
        yield from site.become("jump", 2.2 + more, f"return {text}")
