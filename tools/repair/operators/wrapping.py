"""Wrapping an expression: conversions, copies, rounding, sorting, a part instead of the whole."""

import ast
from collections.abc import Iterator

from ..kinds import CONTAINERS, NUMBERS, SEQUENCES, may_be
from .site import Change, Site

_NUMERIC = (
    "abs({0})", "max(0, {0})", "-{1}", "int({0})", "{1} * 2", "{1} // 2", "{1} / 2", "{1} ** 2",
    "max(1, {0})", "float({0})", "round({0})", "round({0}, 2)", "str({0})", "min(1, {0})",
    "{1} % 2", "{1} + 2", "{1} - 2", "{1} % 10", "1 / {1}", "1 - {1}", "{1} / 100",
)  # fmt: skip
_PARTS = ("[1:]", "[:-1]", "[::-1]", "[0]", "[-1]", "[:]", "[1]")
_WRAPPERS = ("sorted", "set", "len", "list", "sum", "tuple", "max", "min", "enumerate", "reversed")
_TEXT_METHODS = (
    "lower", "upper", "strip", "split", "title", "rstrip", "lstrip", "swapcase", "capitalize",
    "casefold", "isdigit", "isalpha",
)  # fmt: skip


def wrap_number(site: Site[ast.expr]) -> Iterator[Change]:
    """`a` to `abs(a)`, `max(0, a)`, `int(a)`, `a / 100`, ..."""
    kinds = site.kinds
    if _is_plain(site) or site.scope.is_condition(site.node) or not may_be(kinds, NUMBERS):
        return
    for template in _NUMERIC:
        text = template.format(site.text, site.operand())
        yield from site.become("wrap-number", 2.2 if kinds else 2.7, text)
    yield from site.become("wrap-number", 3.2, f"{site.operand()} ** 0.5")


def take_part(site: Site[ast.expr]) -> Iterator[Change]:
    """`a` to `a[1:]`, `a[0]`, `a[i]`, `a[:i]`, ..."""
    kinds = site.kinds
    if not _is_container(site):
        return
    text, base = site.operand(), 1.9 if kinds else 2.5
    if may_be(kinds, SEQUENCES):
        for part in _PARTS:
            yield from site.become("part", base, text + part)
    for rank, name in enumerate(site.scope.numbers_near(site.line)):
        if name != text:
            for part in ("[{}:]", "[:{}]", "[{}]", "[{} + 1:]", "[:{} + 1]"):
                part_text = text + part.format(name)
                yield from site.become("part", base + 0.03 * rank, part_text)


def wrap_container(site: Site[ast.expr]) -> Iterator[Change]:
    """`a` to `sorted(a)`, `list(a)`, `set(a)`, `len(a)`, ..."""
    if not _is_container(site):
        return
    base, text = 2.1 if site.kinds else 2.7, site.text
    for rank, name in enumerate(_WRAPPERS):
        yield from site.become("wrap", base + 0.02 * rank, f"{name}({text})")
    for wrapper in ("sorted(set({}))", "list(reversed({}))", "list(set({}))", "''.join({})"):
        yield from site.become("wrap", base + 0.3, wrapper.format(text))


def copy(site: Site[ast.expr]) -> Iterator[Change]:
    """`a` to `a.copy()`, where a list, dict or set is shared by mistake."""
    kinds = site.kinds
    displays = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    if isinstance(site.node, displays) or site.scope.is_condition(site.node):
        return
    if may_be(kinds, frozenset({"list", "dict", "set"})):
        sharing = isinstance(site.parent, ast.Assign | ast.Return | ast.Call | ast.keyword)
        cost = (1.9 if sharing else 2.4) + (0.0 if kinds else 0.4)
        yield from site.become("copy", cost, f"{site.operand()}.copy()")
        yield from site.become("copy", cost + 0.1, f"list({site.text})")


def wrap_text(site: Site[ast.expr]) -> Iterator[Change]:
    """`a` to `a.lower()`, `a.strip()`, `int(a)`, `str(a)`, ..."""
    kinds = site.kinds
    if _is_plain(site):
        return
    if may_be(kinds, frozenset({"str"})):
        base = 2.0 if kinds else 2.6
        for name in _TEXT_METHODS:
            yield from site.become("text-method", base, f"{site.operand()}.{name}()")
        for name in ("int", "float", "ord"):
            yield from site.become("wrap", base + 0.1, f"{name}({site.text})")
    if kinds is None or kinds - {"str"}:
        yield from site.become("wrap", 2.5, f"str({site.text})")


def wrap_mapping(site: Site[ast.expr]) -> Iterator[Change]:
    """`a` to `a.items()`, `a.values()` or `a.keys()`."""
    if not _is_plain(site) and may_be(site.kinds, frozenset({"dict"})):
        base = 1.9 if site.kinds else 2.4
        for name in ("items", "values", "keys"):
            yield from site.become("mapping-view", base, f"{site.operand()}.{name}()")


def concatenate(site: Site[ast.expr]) -> Iterator[Change]:
    """`a` to `a + b`, `[b] + a` or `[a]`, for sequences."""
    kinds = site.kinds
    if _is_plain(site) or site.scope.is_condition(site.node):
        return
    yield from site.become("display", 2.4, f"[{site.text}]")
    if not may_be(kinds, SEQUENCES):
        return
    text = site.operand()
    for rank, name in enumerate(site.scope.sequences_near(site.line)):
        if name != text and (kinds is None or kinds & site.scope.types[name]):
            yield from site.become("concatenate", 2.2 + 0.03 * rank, f"{name} + {text}")
            yield from site.become("concatenate", 2.2 + 0.03 * rank, f"{text} + {name}")
    if kinds and "list" in kinds:
        for name in site.scope.near(site.line, 8):
            yield from site.become("concatenate", 2.7, f"{text} + [{name}]")
            yield from site.become("concatenate", 2.7, f"[{name}] + {text}")


def default_for_none(site: Site[ast.expr]) -> Iterator[Change]:
    """`a` to `a or []`, where None gets through."""
    if _is_plain(site) or not may_be(site.kinds, frozenset({"NoneType"})):
        return
    for text in ("[]", "''", "0", "{}", "()"):
        yield from site.become("default-for-none", 2.5, f"{site.operand()} or {text}")


def borrow_expression(site: Site[ast.expr]) -> Iterator[Change]:
    """An expression becomes another one found in the unit."""
    scope, kinds, is_condition = site.scope, site.kinds, site.scope.is_condition(site.node)
    for text, (other, size) in scope.expressions.items():
        if isinstance(other, ast.Name) and other.id not in scope.definitions:
            continue
        theirs = scope.kinds(other)
        cost = 2.2 + 0.03 * size
        if kinds and theirs:
            fits = bool(kinds & theirs) or (kinds <= NUMBERS and theirs <= NUMBERS)
            cost += 0.0 if fits else 1.0
        else:
            cost += 0.3
        cost += 0.6 if is_condition != scope.is_condition(other) else 0.0
        yield from site.become("borrow", cost, text)


def _is_plain(site: Site[ast.expr]) -> bool:
    return isinstance(site.node, ast.Constant) or site.scope.is_condition(site.node)


def _is_container(site: Site[ast.expr]) -> bool:
    return not _is_plain(site) and may_be(site.kinds, CONTAINERS)
