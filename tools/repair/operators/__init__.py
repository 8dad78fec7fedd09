"""Edit operators: small functions that propose changes at one node, grouped by what they change.

`changes(scope, lines)` runs every operator at every node of a unit that a failing test reached.
"""

import ast
from collections.abc import Callable, Collection, Iterator
from typing import Any

from ..scope import Scope
from . import (
    arithmetic,
    assignments,
    calls,
    comparisons,
    conditions,
    constants,
    insertions,
    names,
    sequences,
    signature,
    statements,
    wrapping,
)
from .layout import Block
from .site import Change, Site

Operator = Callable[[Site[Any]], Iterator[Change]]
BlockOperator = Callable[[Site[ast.stmt], Block, int], Iterator[Change]]

_CONSTANT = (
    constants.change_integer,
    constants.change_float,
    constants.flip_boolean,
    constants.change_text,
    constants.replace_none,
)
EXPRESSION_OPERATORS: dict[type[ast.AST], tuple[Operator, ...]] = {
    ast.Compare: (
        comparisons.swap_comparison,
        comparisons.move_boundary,
        comparisons.swap_compared,
        comparisons.fix_truth,
    ),
    ast.BinOp: (
        arithmetic.swap_operator,
        arithmetic.swap_operands,
        arithmetic.drop_operand,
        arithmetic.regroup,
    ),
    ast.UnaryOp: (arithmetic.drop_sign,),
    ast.BoolOp: (conditions.swap_and_or, conditions.drop_condition),
    ast.IfExp: (conditions.swap_branches,),
    ast.comprehension: (conditions.change_filter,),
    ast.Constant: _CONSTANT,
    ast.Name: (
        names.swap_variable,
        names.swap_function,
        names.swap_exception,
        names.add_attribute,
    ),
    ast.Attribute: (names.swap_attribute, names.drop_attribute),
    ast.Call: (
        calls.swap_arguments,
        calls.drop_argument,
        calls.add_argument,
        calls.add_keyword,
        calls.drop_call,
        calls.change_range,
    ),
    ast.Subscript: (sequences.change_slice, sequences.change_index),
    ast.Tuple: (sequences.change_elements,),
    ast.List: (sequences.change_elements,),
    ast.Yield: (sequences.change_yield,),
    ast.YieldFrom: (sequences.change_yield,),
}
VALUE_OPERATORS: tuple[Operator, ...] = (
    conditions.negate,
    conditions.add_condition,
    conditions.replace_condition,
    arithmetic.off_by_one,
    arithmetic.combine_with_variable,
    wrapping.wrap_number,
    wrapping.take_part,
    wrapping.wrap_container,
    wrapping.copy,
    wrapping.wrap_text,
    wrapping.wrap_mapping,
    wrapping.concatenate,
    wrapping.default_for_none,
    wrapping.borrow_expression,
)
"""Operators for any expression that is read, on one line, and is not the function of a call."""
STATEMENT_OPERATORS: dict[type[ast.AST], tuple[Operator, ...]] = {
    ast.Assign: (
        assignments.change_assignment,
        assignments.change_target,
        assignments.swap_key_and_value,
    ),
    ast.AugAssign: (arithmetic.swap_augmented, assignments.change_target),
    ast.Expr: (assignments.use_result,),
    ast.Return: (assignments.change_return, conditions.negate_value),
    ast.Break: (assignments.change_jump,),
    ast.Continue: (assignments.change_jump,),
    ast.Pass: (assignments.change_jump,),
    ast.FunctionDef: (signature.change_default, signature.unshare_default),
    ast.AsyncFunctionDef: (signature.change_default, signature.unshare_default),
}
BLOCK_OPERATORS: tuple[BlockOperator, ...] = (
    statements.delete,
    statements.reorder,
    statements.dedent,
    statements.indent,
    statements.guard,
    statements.change_branch,
    insertions.insert,
)
_NOT_VALUES = (ast.Starred, ast.Slice, ast.Lambda, ast.Yield, ast.YieldFrom, ast.Await)
_SUITES = ("body", "orelse", "finalbody")


def changes(scope: Scope, lines: Collection[int]) -> Iterator[Change]:
    """Propose every change of the unit at `lines` (numbers of executed lines), duplicates out."""
    seen = set()
    for change in _all_changes(scope, lines):
        if change.edits not in seen:
            seen.add(change.edits)
            yield change


def _all_changes(scope: Scope, lines: Collection[int]) -> Iterator[Change]:
    root = scope.root
    if not isinstance(root, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _of_expressions(scope, root)
        return
    for operator in STATEMENT_OPERATORS[type(root)]:
        yield from operator(Site(scope, root))
    yield from _of_block(scope, Block(scope, root.body, root), lines)


def _of_block(scope: Scope, block: Block, lines: Collection[int]) -> Iterator[Change]:
    for index, node in enumerate(block.body):
        definition = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        head = node.lineno if definition else _head_end(node)
        executed = any(line in lines for line in range(node.lineno, head + 1))
        reached = any(line in lines for line in range(node.lineno, (node.end_lineno or 0) + 1))
        if executed and not definition:
            yield from _of_expressions(scope, node)
            for operator in STATEMENT_OPERATORS.get(type(node), ()):
                yield from operator(Site(scope, node))
        if reached:
            yield from _of_statement(scope, block, index)
        for suite in _suites(node):
            yield from _of_block(scope, Block(scope, suite, node), lines)


def _of_statement(scope: Scope, block: Block, index: int) -> Iterator[Change]:
    node = block.body[index]
    if not block.has_own_lines(node):
        return
    if block.is_elif(node):
        yield from statements.change_branch(Site(scope, node), block, index)
        return
    for operator in BLOCK_OPERATORS:
        yield from operator(Site(scope, node), block, index)


def _of_expressions(scope: Scope, statement: ast.stmt) -> Iterator[Change]:
    for node in _expressions(statement, scope.off_limits):
        for operator in EXPRESSION_OPERATORS.get(type(node), ()):
            yield from operator(Site(scope, node))
        if _is_value(scope, node):
            for operator in VALUE_OPERATORS:
                yield from operator(Site(scope, node))


def _expressions(node: ast.AST, off_limits: set[ast.AST]) -> Iterator[ast.AST]:
    """Yield the expressions of a statement, not those of the statements inside it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) or child in off_limits:
            continue
        if isinstance(child, ast.expr | ast.comprehension):
            yield child
        yield from _expressions(child, off_limits)


def _is_value(scope: Scope, node: ast.AST) -> bool:
    parent, field = scope.parents.get(node, (None, ""))
    return (
        isinstance(node, ast.expr)
        and not isinstance(node, _NOT_VALUES)
        and not isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)
        and field != "func"
        and not isinstance(parent, ast.Expr)
        and node.lineno == node.end_lineno
    )


def _head_end(node: ast.stmt) -> int:
    """Return the last line before the first suite of a compound statement."""
    suites = list(_suites(node))
    if suites:
        return max(node.lineno, suites[0][0].lineno - 1)
    return node.end_lineno or node.lineno


def _suites(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in _SUITES:
        suite = getattr(node, name, None)
        if suite:
            yield suite
    for handler in getattr(node, "handlers", []):
        yield handler.body
    for case in getattr(node, "cases", []):
        yield case.body
