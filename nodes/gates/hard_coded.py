"""Gate against answers of the tests that are written into the product."""

import ast
from collections.abc import Iterator
from typing import Any

from nodes.gates.constant_answers import TRIVIAL, constant_answers, is_number
from nodes.gates.entries import Entry, Function, entries, mentions
from nodes.gates.expected import Row, atom, rows
from nodes.gates.patch_text import Review


def hard_coded_answers(review: Review) -> Iterator[str]:
    """Added code may not recognise a test's arguments and answer what that test expects."""
    for path, entry, blocking in _suspects(review):
        if blocking:
            yield _words(path, entry)


def possible_answers(review: Review) -> Iterator[str]:
    """The same where it may as well be what the product is about: a doubt, no objection."""
    for path, entry, blocking in _suspects(review):
        if not blocking:
            yield f"{_words(path, entry)}; that may be its meaning"


def _words(path: str, entry: Entry) -> str:
    keys = ", ".join(f"{key!r:.40}" for key in entry.keys[:3])
    of = f" for {keys}" if keys else ""
    return f"{path}:{entry.line} answers {entry.value!r:.40}{of}, as a failing test expects"


def _suspects(review: Review) -> Iterator[tuple[str, Entry, bool]]:
    known_rows = rows(review)
    trees = list(review.modules.values())
    for path, tree in review.modules.items() if known_rows else ():
        groups: dict[ast.AST, list[Entry]] = {}
        for entry in entries(tree):
            groups.setdefault(entry.owner, []).append(entry)
        for owner, group in groups.items():
            hits = [entry for entry in group if _is_answer(entry, known_rows)]
            added = [entry for entry in hits if entry.line in review.added[path]]
            beyond = [entry for entry in group if _is_beyond(entry, known_rows)]
            if added and not _is_iterated(owner, trees):
                first = added[0]
                yield path, first, not beyond and _is_computed(first, owner, trees)
        for entry in constant_answers(tree, known_rows):
            if entry.line in review.added[path]:
                yield path, entry, True


def _is_beyond(entry: Entry, known_rows: list[Row]) -> bool:
    """Whether an entry knows more than the tests do."""
    value = atom(entry.value)
    if entry.kind not in {"table", "branch"} or value in TRIVIAL:
        return False
    keys = {atom(key) for key in entry.keys}
    new = [key for key in keys if not any(key in row and value in row for row in known_rows)]
    return len(new) == len(keys) if entry.kind == "table" else len(new) > 2


def _is_answer(entry: Entry, known_rows: list[Row]) -> bool:
    """Whether one row of a test has both a key and the value."""
    value = atom(entry.value)
    keys = {atom(key) for key in entry.keys} - TRIVIAL
    if entry.kind == "handler":
        return value not in TRIVIAL and any(value in row for row in known_rows)
    if entry.kind == "arithmetic":
        return any(keys & row for row in known_rows)
    if keys and all(_is_small(key) for key in keys) and (value in TRIVIAL or _is_small(value)):
        return value not in TRIVIAL and any(keys & row and value in row for row in known_rows)
    if any((keys - {value}) & row and value in row for row in known_rows):
        return True
    # a key that is derived from the arguments (a length, a sum, a hash): the answer tells
    return (
        entry.kind == "branch"
        and bool(entry.keys)
        and is_number(entry.value)
        and value not in TRIVIAL
        and any(value in row for row in known_rows)
    )


def _is_small(value: Any) -> bool:
    return isinstance(value, float) and abs(value) <= 2


def _is_computed(entry: Entry, owner: ast.AST, trees: list[ast.Module]) -> bool:
    """Whether the value looks like what should be worked out from the key, not looked up."""
    if entry.kind in {"handler", "arithmetic"}:
        return is_number(entry.value) or entry.kind == "arithmetic" or " " not in str(entry.value)
    return any(_follows(key, entry.value) for key in entry.keys) or _has_other_way(owner, trees)


def _follows(key: Any, value: Any) -> bool:
    if isinstance(key, tuple):
        return True
    if isinstance(key, str):
        if isinstance(value, str):
            left, right = key.lower(), value.lower()
            return bool(left and right) and (
                left[:2] == right[:2]
                or left in right
                or right in left
                or sorted(left) == sorted(right)
            )
        return not key.isidentifier() or len(key) > 12
    if isinstance(value, str):
        return any(character.isdigit() for character in value)
    return True


def _has_other_way(owner: ast.AST, trees: list[ast.Module]) -> bool:
    """Whether the code around an entry also works something out, for all other values."""
    functions = [owner] if isinstance(owner, Function) else _users(owner, trees)
    names = _names_of(owner, trees)
    returned = [
        node.value
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and node.value is not None
    ]
    return any(
        isinstance(part, WORKING_OUT)
        for value in returned
        for other in ([value] if not _holds(value, owner, names) else _alternatives(value))
        for part in ast.walk(other)
    )


WORKING_OUT = (ast.BinOp, ast.ListComp, ast.GeneratorExp)


def _alternatives(node: ast.expr) -> Iterator[ast.expr]:
    """What an expression with a lookup gives where the lookup finds nothing."""
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[_, default]):
                yield default
            case ast.BoolOp(op=ast.Or(), values=[_, *others]):
                yield from others
            case ast.IfExp(orelse=orelse):
                yield orelse


def _holds(node: ast.AST, owner: ast.AST, names: set[str]) -> bool:
    return mentions(node, names) or any(part is owner for part in ast.walk(node))


def _names_of(owner: ast.AST, trees: list[ast.Module]) -> set[str]:
    assigned = [
        (node, node.targets if isinstance(node, ast.Assign) else [node.target])
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        and any(part is owner for part in ast.walk(node.value))
    ]  # fmt: skip
    return {
        target.id for _, targets in assigned for target in targets if isinstance(target, ast.Name)
    }


def _users(owner: ast.AST, trees: list[ast.Module]) -> list[ast.AST]:
    """The functions of the patch that hold a table, or name what holds it."""
    names = _names_of(owner, trees)
    return [
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, Function) and _holds(node, owner, names)
    ]


def _is_iterated(owner: ast.AST, trees: list[ast.Module]) -> bool:
    """Whether a table is gone through, or asked for parts of an argument, never for the whole."""
    if not isinstance(owner, ast.Dict | ast.List | ast.Tuple | ast.Call):
        return False
    names, users = _names_of(owner, trees), _users(owner, trees)
    return bool(users) and not any(_is_asked(user, owner, names) for user in users)


def _is_asked(function: ast.AST, owner: ast.AST, names: set[str]) -> bool:
    loops = _loop_names(function)
    for node in ast.walk(function):
        key = _lookup_key(node, owner, names)
        if key is not None and not mentions(key, loops):
            return True
        if isinstance(node, ast.Compare) and not isinstance(owner, ast.Dict):
            is_equal = any(isinstance(operator, ast.Eq) for operator in node.ops)
            if is_equal and mentions(node, loops):
                return True
    return False


def _lookup_key(node: ast.AST, owner: ast.AST, names: set[str]) -> ast.AST | None:
    def is_table(expression: ast.AST) -> bool:
        return any(part is owner for part in ast.walk(expression)) or mentions(expression, names)

    match node:
        case ast.Subscript(value=table, slice=key) if is_table(table):
            return key
        case ast.Call(
            func=ast.Attribute(value=table, attr="get" | "pop" | "__getitem__"), args=[key, *_]
        ) if is_table(table):
            return key
    return None


def _loop_names(function: ast.AST) -> set[str]:
    """Names that stand for one part of something; a loop over a list of one is no loop."""
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.For | ast.comprehension):
            single = isinstance(node.iter, ast.List | ast.Tuple) and len(node.iter.elts) == 1
            if not single:
                names |= {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
    return names
