"""Whole statements as lines: where they start and end, and how deep they are indented."""

import ast

from ..scope import Scope

LOOPS = (ast.For, ast.While, ast.AsyncFor)
BLOCKS = (*LOOPS, ast.If, ast.With)
ENDINGS = (ast.Return, ast.Break, ast.Continue, ast.Raise)


class Block:
    """One suite of statements (`body`) of `owner`, seen as lines of text."""

    def __init__(self, scope: Scope, body: list[ast.stmt], owner: ast.stmt) -> None:
        self.scope = scope
        self.source = scope.source
        self.body = body
        self.owner = owner

    def lines_of(self, first: ast.stmt, last: ast.stmt | None = None) -> tuple[int, int]:
        """Return the span of the whole lines from one statement through another."""
        decorators = getattr(first, "decorator_list", [])
        start = decorators[0].lineno if decorators else first.lineno
        end = ((last or first).end_lineno or first.lineno) + 1
        return self.source.line_start(start), self.source.line_start(end)

    def text_of(self, first: ast.stmt, last: ast.stmt | None = None) -> str:
        """Return those lines, ended even where the file does not end its last one."""
        start, end = self.lines_of(first, last)
        text = self.source.text[start:end]
        return text if text.endswith("\n") else text + "\n"

    def indent(self, node: ast.stmt) -> str:
        """Return the white space a statement's line starts with."""
        line = self.source.line(node.lineno)
        return line[: len(line) - len(line.lstrip())]

    def has_own_lines(self, node: ast.stmt) -> bool:
        """Tell whether nothing else of the program stands on the statement's lines."""
        assert node.end_lineno is not None
        before = self.source.line(node.lineno).encode()[: node.col_offset].strip()
        after = self.source.line(node.end_lineno).encode()[node.end_col_offset :].strip()
        return not before and (not after or after.startswith(b"#"))

    def is_elif(self, node: ast.stmt) -> bool:
        """Tell whether an if statement was written as elif."""
        return self.source.text.startswith("elif", self.source.span(node)[0])

    def in_loop(self, node: ast.AST) -> bool:
        """Tell whether break and continue are allowed at a statement."""
        while node in self.scope.parents:
            node, _ = self.scope.parents[node]
            if isinstance(node, LOOPS):
                return True
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                return False
        return False


def shifted(text: str, columns: int) -> str:
    """Indent lines by some columns, or take as many away."""
    lines = []
    for line in text.split("\n"):
        if not line.strip():
            lines.append(line)
        elif columns > 0:
            lines.append(" " * columns + line)
        else:
            lines.append(line[min(-columns, len(line) - len(line.lstrip())) :])
    return "\n".join(lines)
