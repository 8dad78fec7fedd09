"""Source files cut into units: the functions and top-level statements that candidates edit.

A unit keeps the line numbers of the file it came from for its whole life. Accepting a fix changes
the text of one unit and leaves the coordinates of every other one, and of the running code, alone.
"""

import __future__

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from .edits import SpanEdit, apply_spans, split_lines

Function = ast.FunctionDef | ast.AsyncFunctionDef
_BRANCHES = (ast.If, ast.Try, ast.With)


class UnitKey(NamedTuple):
    """What names a unit: its file (absolute), qualified name and first line in the original."""

    path: str
    name: str
    line: int


class Source:
    """A text and its positions; `first_line` is the line number of its first line."""

    def __init__(self, text: str, first_line: int = 1) -> None:
        self.text = text
        self.first_line = first_line
        self.lines = split_lines(text)
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self._starts = [0, *accumulate(map(len, self.lines))]

    def line_start(self, line: int) -> int:
        """Return the offset of a line; the line after the last one is allowed."""
        return self._starts[min(line - self.first_line, len(self.lines))]

    def line(self, number: int) -> str:
        """Return a line with its end."""
        return self.lines[number - self.first_line]

    def offset(self, line: int, column: int) -> int:
        """Turn an ast position, whose column counts UTF-8 bytes, into an offset."""
        text = self.line(line)
        if not text.isascii():
            column = len(text.encode()[:column].decode(errors="ignore"))
        return self.line_start(line) + column

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return where a node starts and ends."""
        position = _position(node)
        return self.offset(*position[:2]), self.offset(*position[2:])

    def segment(self, node: ast.AST) -> str:
        """Return the text of a node, exactly as written."""
        start, end = self.span(node)
        return self.text[start:end]


@dataclass(frozen=True)
class Unit:
    """One function (with its decorators) or one statement of a module or class body."""

    key: UnitKey
    text: str
    classes: tuple[str, ...]
    indented: bool
    flags: int = 0
    """Compiler flags of the file's `from __future__` imports."""

    @cached_property
    def source(self) -> Source:
        """Positions in `text`, counted in lines of the original file."""
        return Source(self.text, self.key.line)

    @cached_property
    def framed_text(self) -> str:
        """The text inside the class headers it needs to compile, at its original line numbers."""
        headers = [f"{' ' * depth}class {name}:\n" for depth, name in enumerate(self.classes)]
        if self.indented and not headers:
            headers = ["if 1:\n"]
        return "\n" * (self.key.line - 1 - len(headers)) + "".join(headers) + self.text

    @cached_property
    def node(self) -> ast.stmt:
        """The statement, parsed from the current text.

        Raises:
            SyntaxError: an edit made the text unparsable.
        """
        body: list[ast.stmt] = ast.parse(self.framed_text).body
        while len(body) == 1 and body[0].lineno < self.key.line:
            body = body[0].body  # type: ignore[attr-defined]
        return body[0]

    @property
    def function(self) -> Function | None:
        """The function this unit is, if it is one."""
        return self.node if isinstance(self.node, Function) else None

    @property
    def last_line(self) -> int:
        """The last line, in the unit's own coordinates."""
        return self.key.line + len(self.source.lines) - 1

    def edited(self, edits: tuple[SpanEdit, ...]) -> "Unit":
        """Return the unit with edits applied."""
        return replace(self, text=apply_spans(self.text, edits))


@dataclass
class SourceFile:
    """A file of the repository and the fixes accepted in it so far; nothing is written to disk."""

    path: str
    original: str
    units: dict[UnitKey, Unit] = field(default_factory=dict)
    tree: ast.Module = field(default_factory=lambda: ast.Module([], []))
    """The syntax tree of the original text."""
    _line_counts: dict[UnitKey, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str) -> "SourceFile":
        """Read and cut up a file.

        Raises:
            OSError, SyntaxError, UnicodeDecodeError: it is not readable UTF-8 Python.
        """
        with open(path, encoding="utf-8", newline="") as stream:
            return cls.parse(path, stream.read())

    @classmethod
    def parse(cls, path: str, text: str) -> "SourceFile":
        """Cut up the text of a file.

        Raises:
            SyntaxError: it is not Python.
        """
        tree = ast.parse(text)
        file = cls(path, text, tree=tree)
        lines = split_lines(text)
        flags = _future_flags(tree)
        for node, classes in _statements(tree.body, ()):
            first, last = _first_line(node), node.end_lineno or node.lineno
            if lines[first - 1].encode()[: node.col_offset].strip():
                continue  # it shares the line of its class or branch
            key = UnitKey(path, ".".join((*classes, _name_of(node))), first)
            body = "".join(lines[first - 1 : last])
            file.units[key] = Unit(key, body, classes, node.col_offset > 0, flags)
            file._line_counts[key] = last - first + 1
        return file

    def text(self) -> str:
        """Return the file's text with every accepted fix in it."""
        return self.text_with()

    def text_with(self, *changed: Unit) -> str:
        """Return the file's text as it would be with some more units changed."""
        units = self.units | {unit.key: unit for unit in changed}
        lines = split_lines(self.original)
        text, position = [], 1
        for key, unit in sorted(units.items(), key=lambda item: item[0].line):
            text += [*lines[position - 1 : key.line - 1], unit.text]
            position = key.line + self._line_counts[key]
        return "".join([*text, *lines[position - 1 :]])


def _statements(
    body: list[ast.stmt], classes: tuple[str, ...]
) -> Iterator[tuple[ast.stmt, tuple[str, ...]]]:
    """Yield the statements that become units; two on one line would overlap, so they are left."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _statements(node.body, (*classes, node.name))
        elif isinstance(node, _BRANCHES):
            for part in (node.body, *_other_branches(node)):
                yield from _statements(part, classes)
        elif isinstance(node, Function | ast.Assign | ast.AnnAssign) and _alone(node, body):
            yield node, classes


def _other_branches(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    yield getattr(node, "orelse", [])
    yield getattr(node, "finalbody", [])
    for handler in getattr(node, "handlers", []):
        yield handler.body


def _alone(node: ast.stmt, body: list[ast.stmt]) -> bool:
    return not any(
        other is not node
        and other.lineno <= (node.end_lineno or 0)
        and (other.end_lineno or 0) >= node.lineno
        for other in body
    )


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return decorators[0].lineno if decorators else node.lineno


def _name_of(node: ast.stmt) -> str:
    if isinstance(node, Function):
        return node.name
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else "<statement>"


def _future_flags(tree: ast.Module) -> int:
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    return flags


def _position(node: ast.AST) -> tuple[int, int, int, int]:
    assert isinstance(node, ast.expr | ast.stmt | ast.keyword | ast.arg | ast.excepthandler)
    end_line, end_column = node.end_lineno, node.end_col_offset
    assert end_line is not None
    assert end_column is not None
    return node.lineno, node.col_offset, end_line, end_column
