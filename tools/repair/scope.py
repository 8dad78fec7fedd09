"""What a unit offers its operators: names, constants, expressions and conditions found in it."""

import ast
import itertools
from collections.abc import Mapping
from functools import cached_property

from .kinds import CONTAINERS, NUMBERS, SEQUENCES, Kinds, kinds_of
from .source import Unit

_LOGIC = (ast.BoolOp, ast.IfExp, ast.Lambda)
_MAX_INGREDIENT_NODES = 16
_NEAREST = 12


class Scope:
    """The ingredients of one unit; built once and shared by every operator that runs on it."""

    def __init__(self, unit: Unit, module: ast.Module, types: Mapping[str, Kinds]) -> None:
        self.unit = unit
        self.source = unit.source
        self.root = unit.node
        self.module = module
        self.types = types
        """Kinds of variables as seen while failing and passing tests ran."""
        self.nodes = list(ast.walk(self.root))
        self.parents: dict[ast.AST, tuple[ast.AST, str]] = {}
        for parent in self.nodes:
            for name, value in ast.iter_fields(parent):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        self.parents[child] = (parent, name)

    def kinds(self, node: ast.expr) -> Kinds | None:
        """Return the kinds of an expression of this unit."""
        return kinds_of(node, self.types)

    @cached_property
    def off_limits(self) -> set[ast.AST]:
        """Nodes never edited: inside f-strings (bad positions on 3.11), annotations, decorators."""
        found: set[ast.AST] = set()
        for node in self.nodes:
            roots: list[ast.AST] = []
            if isinstance(node, ast.JoinedStr):
                roots = list(ast.iter_child_nodes(node))
            elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
                roots = [node.annotation]
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                roots = [*node.decorator_list, *([node.returns] if node.returns else [])]
            for root in roots:
                found.update(ast.walk(root))
        return found

    @cached_property
    def definitions(self) -> dict[str, int]:
        """Variables of the unit and the line that first binds each, in order of appearance."""
        lines: dict[str, int] = {}
        for node in self.nodes:
            if isinstance(node, ast.arg):
                name = node.arg
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            else:
                continue
            if name not in {"self", "cls", "_"}:
                lines[name] = min(lines.get(name, node.lineno), node.lineno)
        return lines

    def near(self, line: int, limit: int = _NEAREST) -> list[str]:
        """Return variables, those already bound at a line first, the latest bound of them first."""
        lines = self.definitions
        return sorted(lines, key=lambda name: (lines[name] > line, -lines[name]))[:limit]

    def numbers_near(self, line: int, limit: int = 8) -> list[str]:
        """Return nearby variables that are, or may be, numbers."""
        return [
            name
            for name in self.near(line, limit)
            if name not in self.types or self.types[name] & NUMBERS
        ]

    @cached_property
    def module_functions(self) -> list[str]:
        """Functions the module defines at its top level."""
        return [node.name for node in self.module.body if isinstance(node, ast.FunctionDef)]

    @cached_property
    def constants_of_module(self) -> list[str]:
        """Names in capitals that the module binds at its top level, where constants live."""
        return [
            target.id
            for node in self.module.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id.isupper()
        ]

    @cached_property
    def attributes(self) -> list[str]:
        """Attribute names used anywhere in the module, the unit's own first."""
        own = [node.attr for node in self.nodes if isinstance(node, ast.Attribute)]
        other = [node.attr for node in ast.walk(self.module) if isinstance(node, ast.Attribute)]
        fields = [
            node.target.id
            for node in ast.walk(self.module)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        ]
        return list(dict.fromkeys([*own, *other, *fields]))

    @cached_property
    def methods(self) -> set[str]:
        """Attribute names the module calls."""
        return {
            node.func.attr
            for node in ast.walk(self.module)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }

    @cached_property
    def own_attributes(self) -> set[str]:
        """Attributes of `self` anywhere in the module."""
        return {
            node.attr
            for node in ast.walk(self.module)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        }

    @cached_property
    def integers(self) -> list[int]:
        """Integers written in the unit."""
        values = [n.value for n in self._constants if type(n.value) is int]
        return list(dict.fromkeys(values))

    @cached_property
    def strings(self) -> list[str]:
        """Short strings written in the unit, documentation apart."""
        values = [n.value for n in self._constants if isinstance(n.value, str)]
        return [value for value in dict.fromkeys(values) if len(value) < 40]

    @cached_property
    def expressions(self) -> dict[str, tuple[ast.expr, int]]:
        """Small expressions by their text, with their size in nodes."""
        found: dict[str, tuple[ast.expr, int]] = {}
        leaves = ast.Constant | ast.Starred | ast.Slice | ast.JoinedStr | ast.Yield | ast.YieldFrom
        for node in self.nodes:
            if not isinstance(node, ast.expr) or isinstance(node, leaves | ast.Await):
                continue
            size = sum(1 for _ in ast.walk(node))
            if node in self.off_limits or size > _MAX_INGREDIENT_NODES or _binds_tuple(node):
                continue
            text = self.source.segment(node)
            if "\n" not in text:
                found.setdefault(text, (node, size))
        return found

    def is_condition(self, node: ast.expr) -> bool:
        """Tell whether only the truth of an expression matters where it stands."""
        parent, name = self.parents.get(node, (None, ""))
        negated = isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not)
        return name in {"test", "ifs"} or isinstance(parent, ast.BoolOp) or negated

    @cached_property
    def conditions(self) -> dict[str, ast.expr]:
        """Conditions by their text, as they can be put beside `and` and `or`."""
        return {
            f"({text})" if isinstance(node, _LOGIC) else text: node
            for text, (node, _) in self.expressions.items()
            if self.is_condition(node) or isinstance(node, ast.Compare | ast.BoolOp)
        }

    @cached_property
    def returned(self) -> list[str]:
        """Texts of the expressions the unit returns."""
        values = [node.value for node in self.nodes if isinstance(node, ast.Return) and node.value]
        texts = [self.source.segment(value) for value in values]
        return [text for text in dict.fromkeys(texts) if len(text) < 40 and "\n" not in text]

    def values(self, line: int) -> dict[str, float]:
        """Return expressions worth returning or assigning, with what each adds to a cost."""
        found = dict.fromkeys(self.returned, 0.0)
        for name in self.near(line, 10):
            found.setdefault(name, 0.2)
        for text in ("None", "True", "False", "0", "1", "-1", "[]", "''", "{}"):
            found.setdefault(text, 0.3)
        return found

    def predicates(self, line: int, beside: ast.AST | None = None) -> dict[str, float]:
        """Return conditions worth testing at a line, with what each adds to a cost.

        Args:
            line: where the condition would stand.
            beside: an expression whose parts get tested for None, being about to be used.
        """
        found = dict.fromkeys(self.conditions, 0.0)
        for node in ast.walk(beside) if beside else ():
            if isinstance(node, ast.Attribute | ast.Subscript) and node not in self.off_limits:
                text = self.source.segment(node.value)
                if "\n" not in text:
                    found.setdefault(f"{text} is None", 0.0)
                    found.setdefault(f"not {text}", 0.1)
        names = self.near(line)
        for name in names:
            for text, cost in self._tests_of(name):
                found.setdefault(text, cost)
        for one, other in itertools.permutations(names[:9], 2):
            for text, cost in self._relations_of(one, other):
                found.setdefault(text, cost)
        return found

    def _tests_of(self, name: str) -> list[tuple[str, float]]:
        kinds = self.types.get(name)
        found = [(f"not {name}", 0.2), (name, 0.2)]
        if kinds is None or "NoneType" in kinds:
            found += [(f"{name} is None", 0.2), (f"{name} is not None", 0.3)]
        if kinds is None or kinds & NUMBERS:
            found += [(f"{name} {test}", 0.4) for test in ("> 0", "< 0", "== 0", "<= 0", ">= 0")]
            found += [(f"{name} {test}", 0.4) for test in ("== 1", "> 1", "!= 0")]
        if kinds and kinds & CONTAINERS:
            found += [(f"len({name}) == 1", 0.5), (f"len({name}) > 1", 0.5)]
        return found

    def _relations_of(self, one: str, other: str) -> list[tuple[str, float]]:
        mine, its = self.types.get(one), self.types.get(other)
        found = []
        if mine and its:
            if its & (CONTAINERS - {"str", "bytes"}) and not mine & {"list", "dict", "set"}:
                found += [(f"{one} in {other}", 0.4), (f"{one} not in {other}", 0.4)]
            if not mine & its:
                return found
        found += [(f"{one} < {other}", 0.5), (f"{one} <= {other}", 0.5)]
        if one < other:
            found += [(f"{one} == {other}", 0.5), (f"{one} != {other}", 0.5)]
        return found

    def sequences_near(self, line: int, limit: int = 8) -> list[str]:
        """Return nearby variables that have been seen to be sequences."""
        known = self.types
        return [name for name in self.near(line, limit) if known.get(name, Kinds()) & SEQUENCES]

    @cached_property
    def _constants(self) -> list[ast.Constant]:
        documentation = {
            node.value
            for node in self.nodes
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        return [
            node
            for node in self.nodes
            if isinstance(node, ast.Constant)
            and node not in documentation
            and node not in self.off_limits
        ]


def _binds_tuple(node: ast.expr) -> bool:
    return isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Store)
