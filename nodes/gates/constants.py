"""The value of an expression made of constants alone; nothing of the repository is executed."""

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

SIZE = 10_000
"""Characters or elements of a value beyond which it is not worked out."""

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
PLAIN: dict[str, Callable[..., Any]] = {
    "int": int, "float": float, "str": str, "bool": bool, "tuple": tuple, "list": tuple,
    "set": tuple, "frozenset": tuple,
    "chr": chr, "ord": ord, "repr": repr, "abs": abs, "len": len, "round": round,
    "Decimal": float, "Fraction": float, "bytes": bytes,
}  # fmt: skip
WIDTH = re.compile(r"%[^a-zA-Z%]*[\d*]")
"""A format that says how long its result is."""

METHODS = {"lower", "upper", "title", "strip", "join", "replace", "format", "split", "decode"}


class UnknownError(Exception):
    """The expression is not made of constants."""


def constant(node: ast.AST) -> Any:
    """The value of a constant expression; lists and sets come as tuples.

    Raises:
        UnknownError: it depends on something else, or is too large.
    """
    try:
        value = _fold(node)
    except UnknownError:
        raise
    except (ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UnknownError from error
    except RecursionError as error:
        raise UnknownError from error
    return value


def known(node: ast.AST) -> bool:
    """Whether an expression is made of constants alone."""
    try:
        constant(node)
    except UnknownError:
        return False
    return True


def _fold(node: ast.AST) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return tuple(_fold(item) for item in items)
        case ast.UnaryOp(op=op, operand=operand):
            return UNARY[type(op)](_fold(operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return _bounded_binary(op, _fold(left), _fold(right))
        case ast.JoinedStr(values=parts):
            return "".join(str(_fold(part)) for part in parts)
        case ast.FormattedValue(value=value):
            return _fold(value)
        case ast.Subscript(value=value, slice=key):
            return _fold(value)[_slice(key)]
        case ast.Call(func=func, args=args, keywords=[]):
            return _call(func, [_fold(item) for item in args])
    raise UnknownError


def _bounded_binary(op: ast.operator, left: Any, right: Any) -> Any:
    sizes = [len(side) if isinstance(side, str | bytes | tuple) else 1 for side in (left, right)]
    counts = [side for side in (left, right) if isinstance(side, int)]
    if isinstance(op, ast.Mult) and max(sizes) > 1 and any(n * max(sizes) > SIZE for n in counts):
        raise UnknownError
    if isinstance(op, ast.Mod) and isinstance(left, str | bytes) and WIDTH.search(str(left)):
        raise UnknownError
    if sum(sizes) > SIZE or any(abs(n) > 1 << 256 for n in counts):
        raise UnknownError
    return BINARY[type(op)](left, right)


def _slice(key: ast.AST) -> Any:
    if isinstance(key, ast.Slice):
        return slice(*(part and _fold(part) for part in (key.lower, key.upper, key.step)))
    return _fold(key)


def _call(func: ast.AST, args: list[Any]) -> Any:
    if any(isinstance(arg, str | bytes | tuple) and len(arg) > SIZE for arg in args):
        raise UnknownError
    match func:
        case ast.Name(id=name) if name in PLAIN and not (
            name == "bytes" and isinstance(args[0], int)
        ):
            return PLAIN[name](*args)
        case ast.Attribute(value=value, attr=attr) if attr in METHODS:
            owner = _fold(value)
            if isinstance(owner, str | bytes) and "{" not in str(owner):
                result = getattr(owner, attr)(*args)
                return tuple(result) if isinstance(result, list) else result
    raise UnknownError
