"""Names: the neighbour that was meant, be it a variable, an attribute, a method or a builtin."""

import ast
from collections.abc import Iterable, Iterator

from ..kinds import NUMBERS, compatible, may_be
from .site import Change, Site


def _siblings(*families: str) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for family in map(str.split, families):
        for name in family:
            others = table.setdefault(name, [])
            others += [other for other in family if other != name and other not in others]
    return table


FUNCTION_SIBLINGS = _siblings(
    "min max",
    "any all",
    "sorted reversed list set tuple frozenset",
    "int float round str bool",
    "range reversed enumerate",
    "len sum max min",
    "ord chr",
    "abs round int",
    "map filter",
    "isinstance issubclass",
    "floor ceil round trunc",
    "zip zip_longest",
    "deque list",
    "next iter list",
    "hex bin oct str",
)
METHOD_SIBLINGS = _siblings(
    "append extend add insert appendleft",
    "add update discard remove",
    "lower upper title capitalize casefold swapcase",
    "islower isupper isalpha isdigit isalnum isnumeric isdecimal isspace",
    "strip lstrip rstrip",
    "startswith endswith",
    "keys values items",
    "index find rindex rfind count",
    "split rsplit splitlines partition rpartition",
    "removeprefix removesuffix",
    "pop popleft remove",
    "union intersection difference symmetric_difference",
    "issubset issuperset isdisjoint",
    "get setdefault pop",
    "ljust rjust center zfill",
    "extend extendleft",
    "sort reverse",
    "floor ceil trunc",
    "quantize normalize",
    "encode decode",
)


def swap_variable(site: Site[ast.Name]) -> Iterator[Change]:
    """`a` to another variable, preferring one of the same kind that is bound already."""
    scope, node = site.scope, site.node
    if site.is_called and node.id not in scope.definitions:
        return
    mine = scope.types.get(node.id)
    for rank, name in enumerate(scope.near(site.line)):
        fit = compatible(mine, scope.types.get(name))
        cost = 1.2 + 0.04 * rank + {True: 0.0, False: 1.0, None: 0.4}[fit]
        if name != node.id:
            yield from site.become("variable", cost + (0.5 if site.is_stored else 0), name)
    if node.id in scope.own_attributes and not site.is_stored:
        yield from site.become("self-attribute", 1.2, f"self.{node.id}")
    if node.id in scope.constants_of_module:
        for name in scope.constants_of_module:
            yield from site.become("variable", 1.3, name)
    elif node.id in scope.definitions and may_be(mine, NUMBERS) and not site.is_stored:
        yield from site.become("variable-to-constant", 2.0, "0")
        yield from site.become("variable-to-constant", 2.0, "1")


def swap_function(site: Site[ast.Name]) -> Iterator[Change]:
    """`min(...)` to `max(...)`; a function of the module to another one."""
    if not site.is_called:
        return
    for rank, name in enumerate(FUNCTION_SIBLINGS.get(site.node.id, ())):
        yield from site.become("function", 1.0 + 0.1 * rank, name)
    for name in site.scope.module_functions:
        yield from site.become("function", 1.9, name)


def swap_exception(site: Site[ast.Name]) -> Iterator[Change]:
    """`KeyError` to `ValueError`, in a raise or an except clause."""
    common = ("ValueError", "KeyError", "IndexError", "TypeError", "AttributeError", "LookupError")
    if site.node.id.endswith(("Error", "Exception")):
        used = (e for e in site.scope.expressions if e.endswith(("Error", "Exception")))
        others = (*used, *common, "StopIteration", "ZeroDivisionError", "RuntimeError")
        for rank, name in enumerate(dict.fromkeys(others)):
            if name.isidentifier():
                yield from site.become("exception", 1.2 + 0.05 * rank, name)


def swap_attribute(site: Site[ast.Attribute]) -> Iterator[Change]:
    """`a.width` to `a.height`, `a.lower` to `a.upper`."""
    base, scope = site.write(site.node.value), site.scope
    if site.is_called:
        for rank, name in enumerate(METHOD_SIBLINGS.get(site.node.attr, ())):
            yield from site.become("method", 1.0 + 0.1 * rank, f"{base}.{name}")
    crowded = 0.5 if len(scope.attributes) > 25 else 0.0
    for rank, name in enumerate(scope.attributes):
        if name != site.node.attr and (name in scope.methods) == site.is_called:
            yield from site.become("attribute", 1.4 + 0.02 * rank + crowded, f"{base}.{name}")


def drop_attribute(site: Site[ast.Attribute]) -> Iterator[Change]:
    """`a.next` to `a`, or to `a.next.next`."""
    if not site.is_called:
        yield from site.become("drop-attribute", 1.9, site.write(site.node.value))
        if not site.is_stored:
            yield from site.become("repeat-attribute", 2.2, f"{site.text}.{site.node.attr}")


def add_attribute(site: Site[ast.Name]) -> Iterator[Change]:
    """`node` to `node.value`, for a variable that holds an object."""
    plain = NUMBERS | {"str", "list", "tuple", "dict", "set", "function", "module"}
    kinds = site.kinds
    if site.is_stored or site.is_called or site.node.id not in site.scope.definitions:
        return
    if isinstance(site.parent, ast.Attribute) or (kinds is not None and kinds <= plain):
        return
    fields: Iterable[str] = (a for a in site.scope.attributes if a not in site.scope.methods)
    for rank, name in enumerate(fields):
        if rank < 12:
            yield from site.become("add-attribute", 2.2, f"{site.node.id}.{name}")
