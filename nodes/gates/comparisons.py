"""Gate against objects that equal whatever they are compared with."""

import ast
import re
from collections.abc import Iterator

from nodes.gates.patch_text import Review

COMPARING = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"}
SPOOFING = {"__instancecheck__", "__subclasscheck__", "__class__"}
MENTIONED = re.compile(r"__(eq|ne)__")


def equality_overrides(review: Review) -> Iterator[str]:
    """A comparison that does not look at both operands makes every assertion pass."""
    for path in review.modules:
        lines = review.added[path]
        honest: set[int] = set()
        for method in _changed_methods(review, path):
            if method.name in SPOOFING:
                yield f"{path} pretends to be of another type: {method.name}"
            elif method.name in COMPARING and not compares(method):
                yield f"{path} overrides comparison: {method.name} does not compare its operands"
            elif method.name in COMPARING:
                honest |= _lines_of(method)
        for number, line in lines.items():
            if MENTIONED.search(line) and number not in honest:
                yield f"{path} overrides comparison: {line.strip()[:80]}"


def _changed_methods(review: Review, path: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(review.modules[path]):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if _lines_of(node) & set(review.added[path]):
            yield node


def _lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def compares(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether everything a comparison returns comes from looking at both of its operands."""
    operands = [argument.arg for argument in method.args.args]
    if len(operands) != 2:
        return False
    derived = _derived(method, operands)
    returns = [node for node in ast.walk(method) if isinstance(node, ast.Return)]
    guarded = _guarded(method, derived, operands)
    answers = [node for node in returns if not _is_refusal(node)]
    return bool(answers) and all(
        node in guarded or (node.value is not None and _judges(node.value, derived, operands))
        for node in answers
    )


def _is_refusal(node: ast.Return) -> bool:
    match node.value:
        case ast.Constant(value=False):
            return True
        case ast.Name(id="NotImplemented"):
            return True
    return False


def _guarded(method: ast.AST, derived: dict[str, set[str]], operands: list[str]) -> set[ast.Return]:
    """Returns of True under a condition that itself compares both operands."""
    return {
        child
        for node in ast.walk(method)
        if isinstance(node, ast.If) and _judges(node.test, derived, operands)
        for child in node.body
        if isinstance(child, ast.Return)
    }


def _judges(node: ast.AST, derived: dict[str, set[str]], operands: list[str]) -> bool:
    """Whether an expression's value depends on both operands, through something that compares."""
    match node:
        case ast.BoolOp(op=ast.Or(), values=values):
            return all(_judges(value, derived, operands) for value in values)
        case ast.BoolOp(values=values):
            return any(_judges(value, derived, operands) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _judges(operand, derived, operands)
        case ast.IfExp(body=body, orelse=orelse):
            return all(
                _judges(part, derived, operands)
                or (isinstance(part, ast.Constant) and part.value is False)
                or (isinstance(part, ast.Name) and part.id == "NotImplemented")
                for part in (body, orelse)
            )
        case ast.Compare(left=left, comparators=others):
            sides = [_reads(side, derived) for side in (left, *others)]
            return (
                set(operands) <= set().union(*sides)
                and len(set(map(ast.dump, (left, *others)))) > 1
            )
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass" | "hasattr" | "bool" | "type")):
            return False
        case ast.Call():
            return set(operands) <= _reads(node, derived) or "super" in ast.dump(node)
    return False


def _reads(node: ast.AST, derived: dict[str, set[str]]) -> set[str]:
    names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    return set().union(*(derived.get(name, set()) for name in names))


def _derived(method: ast.AST, operands: list[str]) -> dict[str, set[str]]:
    """For each local name the operands it was made from."""
    derived = {name: {name} for name in operands}
    for node in ast.walk(method):
        if isinstance(node, ast.Assign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        derived.setdefault(part.id, set()).update(_reads(node.value, derived))
        elif isinstance(node, ast.comprehension):
            for part in ast.walk(node.target):
                if isinstance(part, ast.Name):
                    derived.setdefault(part.id, set()).update(_reads(node.iter, derived))
    return derived
