"""Changing running code: a candidate replaces `__code__` of live functions, or rebinds a constant.

Re-importing a module costs a thousand times more and loses the warmed pytest session, so only
edits that cannot be made this way go through a copy on disk.
"""

import ast
import copy
import functools
import gc
import sys
import types
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from .operators.signature import DEFAULT_OPERATORS
from .source import Unit, UnitKey

Defaults = tuple[tuple[Any, ...] | None, dict[str, Any] | None]


class UnpatchableError(Exception):
    """The change cannot be made in a running process."""


class Patch(Protocol):
    """A change of running code."""

    @property
    def fingerprint(self) -> Hashable:
        """Equal for changes that mean the same to the interpreter."""

    def install(self) -> None:
        """Make the change; whatever evaluating it raises gets through."""

    def undo(self) -> None:
        """Take it back."""


@dataclass
class FunctionPatch:
    """Other code, and perhaps other defaults, for every live copy of a function."""

    functions: list[types.FunctionType]
    code: types.CodeType
    defaults: Defaults | None = None
    _saved: list[tuple[types.CodeType, Defaults]] = field(default_factory=list)

    @property
    def fingerprint(self) -> Hashable:
        """The bytecode without its line numbers, and the defaults."""
        return _code_key(self.code), repr(self.defaults)

    def install(self) -> None:
        """Swap the code in."""
        self._saved = [(f.__code__, (f.__defaults__, f.__kwdefaults__)) for f in self.functions]
        for function in self.functions:
            function.__code__ = self.code
            if self.defaults is not None:
                function.__defaults__, function.__kwdefaults__ = self.defaults

    def undo(self) -> None:
        """Swap it back."""
        for function, (code, defaults) in zip(self.functions, self._saved, strict=True):
            function.__code__ = code
            function.__defaults__, function.__kwdefaults__ = defaults


@dataclass
class BindingPatch:
    """Another value for a name of a module or class, wherever it was imported by that name."""

    owners: list[Any]
    name: str
    value: types.CodeType
    scope: dict[str, Any]
    _saved: Any = None

    @property
    def fingerprint(self) -> Hashable:
        """The expression's bytecode."""
        return _code_key(self.value)

    def install(self) -> None:
        """Evaluate the expression and bind it."""
        self._saved = getattr(self.owners[0], self.name)
        value = eval(self.value, self.scope)
        for owner in self.owners:
            setattr(owner, self.name, value)

    def undo(self) -> None:
        """Bind the old value again."""
        for owner in self.owners:
            setattr(owner, self.name, self._saved)


class LiveCode:
    """The functions and caches of this process that came from the repository's files."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = set(paths)
        self._functions: dict[UnitKey, list[types.FunctionType]] = {}
        self._caches: list[Callable[[], None]] = []
        for thing in gc.get_objects():
            if type(thing) is types.FunctionType and thing.__code__.co_filename in self._paths:
                code = thing.__code__
                key = UnitKey(code.co_filename, code.co_qualname, code.co_firstlineno)
                self._functions.setdefault(key, []).append(thing)
            elif isinstance(thing, functools._lru_cache_wrapper):
                self._caches.append(thing.cache_clear)

    def patch(self, changed: Unit, operator: str) -> Patch:
        """Prepare a change.

        Raises:
            UnpatchableError: it needs a fresh import.
            SyntaxError, ValueError: the changed text does not compile.
        """
        if changed.function is None:
            return self._binding(changed)
        functions = self._functions.get(changed.key)
        if not functions:
            raise UnpatchableError("no live function")
        code = _compiled(changed)
        if any(f.__code__.co_freevars != code.co_freevars for f in functions):
            raise UnpatchableError("the function closes over other variables")
        defaults = None
        if operator in DEFAULT_OPERATORS:
            defaults = _evaluated_defaults(changed, functions[0].__globals__)
        return FunctionPatch(functions, code, defaults)

    def clear_caches(self) -> None:
        """Forget memoised results, which belong to the candidate that computed them."""
        for clear in self._caches:
            clear()

    def _binding(self, changed: Unit) -> Patch:
        node = changed.node
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        module = _module_of(changed.key.path)
        if not isinstance(target, ast.Name) or value is None or module is None:
            raise UnpatchableError("not a plain binding")
        owner: Any = module
        for name in changed.classes:
            owner = getattr(owner, name, None)
        name = target.id
        if not hasattr(owner, name):
            raise UnpatchableError("the name is not bound there")
        owners, scope = [owner], dict(vars(module))
        if changed.classes:
            scope |= vars(owner)
        else:
            bound = getattr(module, name)
            others = [m for m in list(sys.modules.values()) if m is not module]
            owners += [m for m in others if getattr(m, "__dict__", {}).get(name) is bound]
        code = compile(ast.Expression(value), changed.key.path, "eval", dont_inherit=True)
        return BindingPatch(owners, name, code, scope)


def _module_of(path: str) -> types.ModuleType | None:
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == path:
            return module
    return None


def _compiled(unit: Unit) -> types.CodeType:
    module = compile(unit.framed_text, unit.key.path, "exec", unit.flags, dont_inherit=True)
    waiting = [module]
    while waiting:
        for constant in waiting.pop().co_consts:
            if isinstance(constant, types.CodeType):
                if constant.co_qualname == unit.key.name:
                    return constant
                waiting.append(constant)
    raise UnpatchableError("the function is gone")


def _evaluated_defaults(unit: Unit, scope: dict[str, Any]) -> Defaults:
    node = unit.function
    assert node is not None
    bare = copy.copy(node)
    bare.decorator_list = []
    names = dict(scope)
    module = ast.fix_missing_locations(ast.Module([bare], []))
    try:
        exec(compile(module, unit.key.path, "exec", unit.flags, dont_inherit=True), names)
    except Exception as error:
        raise UnpatchableError("the defaults do not evaluate") from error
    function = names[node.name]
    return function.__defaults__, function.__kwdefaults__


def _code_key(code: types.CodeType) -> Hashable:
    constants = tuple(
        _code_key(c) if isinstance(c, types.CodeType) else (type(c), repr(c))
        for c in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, constants, names, code.co_exceptiontable
