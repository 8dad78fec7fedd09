"""Default arguments: shared mutable ones, wrong constants."""

import ast
from collections.abc import Iterator

from ..edits import SpanEdit
from ..source import Function
from .site import Change, Site

DEFAULT_OPERATORS = frozenset({"mutable-default", "default"})
"""Operators whose changes need the function's defaults evaluated again."""


def change_default(site: Site[Function]) -> Iterator[Change]:
    """`def f(a=1)` to `a=2`, `a=True` to `a=False`, `a=None` to a value."""
    for _, default in _defaults(site.node):
        if not isinstance(default, ast.Constant):
            continue
        value, others = default.value, list[str]()
        if isinstance(value, bool):
            others = [str(not value), "None"]
        elif isinstance(value, int):
            others = [str(other) for other in (value + 1, value - 1, 0, 1, -value, value * 10)]
        elif isinstance(value, float):
            others = [repr(other) for other in (value * 10, value / 10, 0.0, 1.0, 1 - value)]
        elif isinstance(value, str):
            cases = (value.lower(), value.upper(), "", " ", ",")
            others = [repr(other) for other in (*cases, *site.scope.strings)]
        elif value is None:
            others = ["True", "False", "0", "1", "''", "()"]
        for text in others:
            yield from site.become("default", 2.0 if value is None else 1.6, text, default)


def unshare_default(site: Site[Function]) -> Iterator[Change]:
    """`def f(a=[])` to `def f(a=None)` with `a = []` inside."""
    for argument, default in _defaults(site.node):
        if not isinstance(default, ast.List | ast.Dict | ast.Set | ast.Call):
            continue
        body = site.node.body
        documented = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        first = body[1] if documented and len(body) > 1 else body[0]
        if first.lineno == site.node.lineno:
            continue
        place = site.source.line_start(first.lineno)
        line = site.source.line(first.lineno)
        margin = line[: len(line) - len(line.lstrip())]
        fill = f"{margin}if {argument.arg} is None:\n"
        fill += f"{margin}    {argument.arg} = {site.write(default)}\n"
        edits = (SpanEdit(*site.source.span(default), "None"), SpanEdit(place, place, fill))
        yield site.edit("mutable-default", 1.4, *edits)


def _defaults(node: Function) -> Iterator[tuple[ast.arg, ast.expr]]:
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults = node.args.defaults
    yield from zip(positional[len(positional) - len(defaults) :], defaults, strict=True)
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if default is not None:
            yield argument, default
