"""New statements made of what the unit already says: updates, returns, guards, jumps."""

import ast
import itertools
from collections.abc import Iterator

from ..edits import SpanEdit
from ..kinds import NUMBERS, SEQUENCES, may_be
from .layout import ENDINGS, Block
from .site import Change, Site

_Draft = tuple[str, float, str]
"""Operator, cost and text of a new statement."""


def insert(site: Site[ast.stmt], block: Block, index: int) -> Iterator[Change]:
    """Put a new statement before a statement, or behind the last one of its block."""
    start, end = block.lines_of(site.node)
    documentation = isinstance(site.node, ast.Expr) and isinstance(site.node.value, ast.Constant)
    if index == 0 and documentation:
        return
    places = [start]
    if index == len(block.body) - 1 and not isinstance(site.node, ENDINGS):
        places.append(end)
    margin = block.indent(site.node)
    for place in places:
        at_end = place == end
        newline = "\n" if place and site.source.text[place - 1] != "\n" else ""
        for operator, cost, text in _drafts(site, block, at_end):
            lines = "".join(f"{margin}{line}\n" for line in text.split("\n"))
            yield site.edit(operator, cost, SpanEdit(place, place, newline + lines))


def _drafts(site: Site[ast.stmt], block: Block, at_end: bool) -> Iterator[_Draft]:
    yield from _repeated(site, at_end)
    names = site.scope.near(site.line, 10)
    for name in names:
        yield from _updates(site, name)
    for one, other in itertools.permutations(names, 2):
        yield from _transfers(site, one, other)
    values = site.scope.values(site.line)
    for text, more in values.items():
        yield "insert-return", (2.0 if at_end else 2.9) + more, f"return {text}"
    looping = block.in_loop(site.node)
    if looping:
        yield "insert-jump", 2.3, "break"
        yield "insert-jump", 2.3, "continue"
    if at_end:
        return
    for condition, more in list(site.scope.predicates(site.line, site.node).items())[:40]:
        for text, extra in list(values.items())[:14]:
            yield "insert-guard", 3.0 + more + extra, f"if {condition}:\n    return {text}"
        if looping:
            yield "insert-guard", 2.7 + more, f"if {condition}:\n    continue"
            yield "insert-guard", 2.7 + more, f"if {condition}:\n    break"


def _repeated(site: Site[ast.stmt], at_end: bool) -> Iterator[_Draft]:
    """Statements of the unit once more, as they are or with another variable."""
    scope, source = site.scope, site.source
    for node in scope.nodes:
        if not isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.Return | ast.Raise):
            continue
        text = source.segment(node)
        documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if "\n" in text or documentation or (isinstance(node, ast.Return) and not at_end):
            continue
        yield "insert-copy", 2.4, text
        names = [n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in scope.definitions]
        if len(names) > 3 or len(text) >= 60 or scope.off_limits.intersection(names):
            continue
        start = source.span(node)[0]
        for name in names:
            begin, stop = (offset - start for offset in source.span(name))
            for other in scope.near(site.line, 8):
                if other != name.id:
                    fits = may_be(scope.types.get(name.id), scope.types.get(other, NUMBERS))
                    cost = 2.6 if fits else 3.2
                    yield "insert-copy", cost, text[:begin] + other + text[stop:]


def _updates(site: Site[ast.stmt], name: str) -> Iterator[_Draft]:
    kinds = site.scope.types.get(name)
    if may_be(kinds, NUMBERS):
        for update in ("+= 1", "-= 1", "= 0"):
            yield "insert-update", 2.3, f"{name} {update}"
    if may_be(kinds, frozenset({"list", "deque"})):
        for text in (f"{name}.pop()", f"{name} = []", f"{name}.sort()", f"{name} = list({name})"):
            yield "insert-update", 2.5, text
    if kinds and "dict" in kinds:
        yield "insert-update", 2.5, f"{name} = dict({name})"
    if kinds and "str" in kinds:
        yield "insert-update", 2.5, f"{name} = ''"


def _transfers(site: Site[ast.stmt], one: str, other: str) -> Iterator[_Draft]:
    mine, its = site.scope.types.get(one), site.scope.types.get(other)
    alike = mine is None or its is None or bool(mine & its) or "NoneType" in mine | its
    if alike:
        yield "insert-assignment", 2.4, f"{one} = {other}"
    if may_be(mine, frozenset({"list", "deque"})):
        yield "insert-update", 2.3, f"{one}.append({other})"
    if mine and "set" in mine:
        yield "insert-update", 2.3, f"{one}.add({other})"
    if mine and mine & {"dict", "set"} and may_be(its, frozenset({"dict", "set", "list"})):
        yield "insert-update", 2.3, f"{one}.update({other})"
    if may_be(mine, NUMBERS) and may_be(its, NUMBERS):
        yield "insert-update", 2.6, f"{one} += {other}"
        yield "insert-update", 2.7, f"{one} -= {other}"
    elif mine and its and mine & SEQUENCES and its & SEQUENCES:
        yield "insert-update", 2.5, f"{one} += {other}"
