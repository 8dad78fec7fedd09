"""Guards against overfitting: what a change costs beyond its operator's own cost.

Passing the tests is not being right. These penalties put changes that make code do less, answer
always the same, or return another kind of value behind those that repair it.
"""

import ast
import re
from collections import Counter

from .edits import SpanEdit
from .operators.site import Change
from .scope import Scope

_WORD = re.compile(r"[A-Za-z_]\w*")
_ANSWERS = re.compile(r"(True|False|not |any\(|all\(|isinstance\(|.* (==|!=|<|>|<=|>=|in|is) )")
_SILLY = re.compile(r"\b(True|False) (and|or)\b|// \d*\.\d|\brange\((\w+), \3\)|\b(\w+) [-/%] \4\b")
_CANCELLING = re.compile(r"- 1\)? \+ 1\b|\+ 1\)? - 1\b|^1 \+ .* - 1 ?$")

_DEAD_VARIABLE = 1.2
_REVIVED_VARIABLE = -0.4
_SILLY_TEXT = 1.0
_OTHER_KIND = 1.0
_EARLY_ANSWER = 0.8
_IMPLICIT_NONE = 0.8
_EMPTY_LOOP = 1.0
_LOST_CALL = 1.0


class Ranker:
    """Prices the changes of one unit."""

    def __init__(self, scope: Scope) -> None:
        self._text = scope.source.text
        self._root = scope.root
        self._variables = set(scope.definitions)
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        self._recursive = {n.name for n in scope.nodes if isinstance(n, functions)}
        self._uses: Counter[str] = Counter()
        for node in scope.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self._uses[node.id] += 1
        returns = [n.value for n in scope.nodes if isinstance(n, ast.Return) and n.value]
        plain = [_is_answer(value) for value in returns]
        calls = all(
            answer or isinstance(value, ast.Call)
            for answer, value in zip(plain, returns, strict=True)
        )
        self._answers = any(plain) and calls
        self._ends_in_endless_loop = bool(returns) and _is_endless(scope.root)

    def cost(self, change: Change) -> float:
        """Return the change's cost with every guard's verdict added."""
        cost = change.cost + self._variables_cost(change.edits)
        cost += sum(self._text_cost(edit) for edit in change.edits)
        if change.operator == "boolean-to-condition" and self._ends_in_endless_loop:
            cost += _IMPLICIT_NONE
        return max(0.1, cost)

    def _variables_cost(self, edits: tuple[SpanEdit, ...]) -> float:
        """Charge for a variable that nothing reads any more; an unused one put to use is likely."""
        delta: Counter[str] = Counter()
        for edit in edits:
            delta.update(word for word in _WORD.findall(edit.new) if word in self._variables)
            old = _WORD.findall(self._text[edit.start : edit.end])
            delta.subtract(word for word in old if word in self._variables)
        cost = 0.0
        for name, change in delta.items():
            uses = self._uses[name]
            if change < 0 < uses and uses + change <= 0:
                cost += _DEAD_VARIABLE
            elif change > 0 and uses == 0:
                cost += _REVIVED_VARIABLE
        return cost

    def _text_cost(self, edit: SpanEdit) -> float:
        cost = _SILLY_TEXT if _SILLY.search(edit.new) else 0.0
        for returned in re.findall(r"return (.+)", edit.new):
            if self._answers and not _ANSWERS.match(returned.strip()):
                cost += _OTHER_KIND
            if re.fullmatch(r"True|False|None|-?\d+", returned.strip()):
                cost += _EARLY_ANSWER
        old = self._text[edit.start : edit.end]
        if edit.new == "//" and re.match(r"\s*\d*\.\d", self._text[edit.end :]):
            cost += _SILLY_TEXT
        after, before = self._text[edit.end :].lstrip(), self._text[: edit.start].rstrip()
        neutral = edit.new == "0" and (after.startswith("+") or before.endswith((" +", " -")))
        times_one = edit.new in {"*", "/", "//", "**"} and re.match(r"1\b(?!\.)", after)
        one_times = edit.new == "*" and re.search(r"(?<![\w.])1$", before)
        cancels = _CANCELLING.search(edit.new + " " + after.split("\n")[0])
        if neutral or times_one or one_times or cancels:
            cost += _SILLY_TEXT
        if self._recursive.intersection(_WORD.findall(old)) - set(_WORD.findall(edit.new)):
            cost += _LOST_CALL
        if edit.new in {"[]", "()", "''", "{}"} and before.endswith(" in") and old:
            cost += _EMPTY_LOOP
        return cost


def _is_answer(node: ast.expr) -> bool:
    boolean = isinstance(node, ast.Constant) and isinstance(node.value, bool)
    negation = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    return boolean or negation or isinstance(node, ast.Compare)


def _is_endless(root: ast.stmt) -> bool:
    body = getattr(root, "body", [])
    return (
        bool(body) and isinstance(body[-1], ast.While) and isinstance(body[-1].test, ast.Constant)
    )
