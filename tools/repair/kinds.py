"""What kind of value an expression has, from its form and from the types seen while tests ran.

A kind is a set of type names; `None` means unknown. Operators use kinds to skip edits that cannot
type-check and to try likely ones first, never to decide whether an edit is right.
"""

import ast
from collections.abc import Mapping

Kinds = frozenset[str]

NUMBERS: Kinds = frozenset({"int", "float", "complex", "bool", "Decimal", "Fraction"})
SEQUENCES: Kinds = frozenset({"list", "str", "tuple", "bytes", "deque"})
CONTAINERS: Kinds = SEQUENCES | {"dict", "set", "frozenset", "range", "dict_keys", "iterator"}

_CALLS = {
    "len": "int", "sum": "int", "int": "int", "abs": "int", "ord": "int", "round": "int",
    "str": "str", "chr": "str", "repr": "str", "float": "float", "bool": "bool", "any": "bool",
    "all": "bool", "isinstance": "bool", "list": "list", "sorted": "list", "set": "set",
    "tuple": "tuple", "dict": "dict", "range": "range", "enumerate": "iterator",
    "zip": "iterator", "reversed": "iterator", "map": "iterator", "filter": "iterator",
}  # fmt: skip
_METHODS = {
    "lower": "str", "upper": "str", "strip": "str", "join": "str", "replace": "str",
    "title": "str", "format": "str", "split": "list", "startswith": "bool", "endswith": "bool",
    "isdigit": "bool", "isalpha": "bool", "isupper": "bool", "islower": "bool", "count": "int",
    "index": "int", "find": "int", "keys": "iterator", "values": "iterator", "items": "iterator",
}  # fmt: skip
_LITERALS: dict[type[ast.expr], str] = {
    ast.Compare: "bool", ast.List: "list", ast.ListComp: "list", ast.Tuple: "tuple",
    ast.Dict: "dict", ast.DictComp: "dict", ast.Set: "set", ast.SetComp: "set",
    ast.JoinedStr: "str", ast.Lambda: "function", ast.GeneratorExp: "iterator",
}  # fmt: skip


def kinds_of(node: ast.expr, names: Mapping[str, Kinds]) -> Kinds | None:
    """Return the kinds of an expression; `names` has those of the variables."""
    match node:
        case ast.Constant(value=value):
            return frozenset({type(value).__name__})
        case ast.Name(id=name):
            return names.get(name)
        case ast.UnaryOp(op=op, operand=operand):
            return frozenset({"bool"}) if isinstance(op, ast.Not) else kinds_of(operand, names)
        case ast.BinOp():
            return _of_arithmetic(node, names)
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            return frozenset({_CALLS[name]})
        case ast.Call(func=ast.Attribute(attr=name)) if name in _METHODS:
            return frozenset({_METHODS[name]})
        case ast.Subscript(value=value, slice=index):
            base = kinds_of(value, names)
            return base if base == frozenset({"str"}) or isinstance(index, ast.Slice) else None
    literal = _LITERALS.get(type(node))
    return frozenset({literal}) if literal else None


def may_be(kinds: Kinds | None, wanted: Kinds) -> bool:
    """Tell whether a value of these kinds could be of a wanted one; unknown ones could."""
    return kinds is None or bool(kinds & wanted)


def surely(kinds: Kinds | None, wanted: Kinds) -> bool:
    """Tell whether a wanted kind has been seen."""
    return kinds is not None and bool(kinds & wanted)


def compatible(one: Kinds | None, other: Kinds | None) -> bool | None:
    """Tell whether two values could stand for each other; None where that is not clear.

    It is not clear for two containers of different kinds, as both have a length and members.
    """
    if one is None or other is None:
        return None
    if not one & other and one & CONTAINERS and other & CONTAINERS:
        return None
    return bool(one & other) or (one <= NUMBERS and other <= NUMBERS)


def _of_arithmetic(node: ast.BinOp, names: Mapping[str, Kinds]) -> Kinds | None:
    left, right = kinds_of(node.left, names), kinds_of(node.right, names)
    if left and right and left <= NUMBERS and right <= NUMBERS:
        fraction = isinstance(node.op, ast.Div) or "float" in left | right
        return frozenset({"float"}) if fraction else left
    if isinstance(node.op, ast.Add) or (left and not left & NUMBERS):
        return left
    return frozenset({"int"}) if isinstance(node.op, ast.Sub | ast.FloorDiv | ast.Pow) else None
