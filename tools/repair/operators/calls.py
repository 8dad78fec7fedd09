"""Calls: arguments swapped, dropped and added, keywords, ranges, calls taken off."""

import ast
import itertools
from collections.abc import Iterator

from ..edits import SpanEdit
from .names import FUNCTION_SIBLINGS
from .site import Change, Site

Call = Site[ast.Call]


def swap_arguments(site: Call) -> Iterator[Change]:
    """`f(a, b)` to `f(b, a)`."""
    arguments = site.node.args
    if any(isinstance(argument, ast.Starred) for argument in arguments):
        return
    for one, other in itertools.combinations(arguments[:5], 2):
        if site.write(one) == site.write(other):
            continue
        edits = (
            SpanEdit(*site.source.span(one), site.write(other)),
            SpanEdit(*site.source.span(other), site.write(one)),
        )
        yield site.edit("swap-arguments", 1.1, *edits)


def drop_argument(site: Call) -> Iterator[Change]:
    """`f(a, b)` to `f(a)`; `f(a, key=b)` to `f(a)`."""
    parts = _arguments(site)
    for index in range(len(parts)):
        if len(parts) > 1:
            kept = parts[:index] + parts[index + 1 :]
            yield from site.become("drop-argument", 1.5, _call(site, kept))


def add_argument(site: Call) -> Iterator[Change]:
    """`f(a)` to `f(a, b)` or `f(b, a)`, with a variable at hand."""
    name = site.node.func.id if isinstance(site.node.func, ast.Name) else ""
    if name in FUNCTION_SIBLINGS and name not in {"min", "max", "round"}:
        return
    parts, positional = _arguments(site), len(site.node.args)
    for rank, variable in enumerate(site.scope.near(site.line, 8)):
        cost = 2.2 + 0.04 * rank
        after = [*parts[:positional], variable, *parts[positional:]]
        yield from site.become("add-argument", cost, _call(site, after))
        yield from site.become("add-argument", cost + 0.2, _call(site, [variable, *parts]))
    if name == "round" and len(parts) == 1:
        yield from site.become("add-argument", 1.8, _call(site, [*parts, "2"]))


def add_keyword(site: Call) -> Iterator[Change]:
    """`sorted(a)` to `sorted(a, reverse=True)` or with one of the usual keys."""
    function = site.node.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    if name not in {"sorted", "sort", "min", "max"}:
        return
    parts, given = _arguments(site), {keyword.arg for keyword in site.node.keywords}
    if "reverse" not in given and name in {"sorted", "sort"}:
        yield from site.become("keyword", 1.6, _call(site, [*parts, "reverse=True"]))
    if "key" not in given:
        keys = ["len", "abs", "str", "int", "lambda x: x[0]", "lambda x: x[1]", "lambda x: -x"]
        seen = site.scope.types
        keys += [name for name in site.scope.definitions if "function" in seen.get(name, ())]
        for key in (*keys, *site.scope.module_functions[:4]):
            yield from site.become("keyword", 1.9, _call(site, [*parts, f"key={key}"]))


def drop_call(site: Call) -> Iterator[Change]:
    """`f(a)` to `a`; `a.f()` to `a`."""
    if isinstance(site.parent, ast.Expr):
        return
    several = 0.2 if len(site.node.args) > 1 else 0.0
    for argument in site.node.args:
        if not isinstance(argument, ast.Starred | ast.GeneratorExp):
            yield from site.become("unwrap", 1.4 + several, site.write(argument))
    if isinstance(site.node.func, ast.Attribute):
        yield from site.become("unwrap", 1.6, site.write(site.node.func.value))


def change_range(site: Call) -> Iterator[Change]:
    """Another start, end or step of a range."""
    if not (isinstance(site.node.func, ast.Name) and site.node.func.id == "range"):
        return
    bounds = [site.write(argument) for argument in site.node.args]
    names = site.scope.numbers_near(site.line)
    found: list[tuple[float, str]] = []
    if len(bounds) == 1:
        end = bounds[0]
        found += [(1.5, f"1, {end}"), (1.6, f"1, {end} + 1"), (1.9, f"2, {end}")]
        found += [(1.7, f"{end} - 1, -1, -1"), (1.9, f"0, {end}, 2")]
        for name in names:
            found += [(1.8, f"{name}, {end}"), (1.9, f"{name} + 1, {end}")]
    elif len(bounds) == 2:
        start, end = bounds
        found += [(1.6, f"{start}, {end}, 2"), (1.7, f"{start}, {end}, -1")]
        found += [(1.7, f"{end} - 1, {start} - 1, -1"), (1.6, end)]
        found += [(1.9, f"{start}, {end}, {name}") for name in names]
    for cost, arguments in found:
        yield from site.become("range", cost, f"range({arguments})")


def _arguments(site: Call) -> list[str]:
    named = [
        f"{keyword.arg}={site.write(keyword.value)}"
        if keyword.arg
        else f"**{site.write(keyword.value)}"
        for keyword in site.node.keywords
    ]
    return [*map(site.write, site.node.args), *named]


def _call(site: Call, arguments: list[str]) -> str:
    return f"{site.write(site.node.func)}({', '.join(arguments)})"
