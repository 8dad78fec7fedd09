"""A patch as the gates see it: lines added to product code, with their numbers, and file modes."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.protection import is_test_code

HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")

Added = dict[str, dict[int, str]]
"""Added lines by path and by number in the patched file."""


@dataclass(frozen=True)
class Review:
    """What the gates judge. `modules` are patched product files, `tests` those of `targets`."""

    added: Added
    targets: list[str] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    modules: dict[str, ast.Module] = field(default_factory=dict)
    tests: dict[str, ast.Module] = field(default_factory=dict)
    unparsed: list[str] = field(default_factory=list)
    """Patched files that are named as Python and are not, or are too large to be read."""

    def nodes(self, path: str) -> list[ast.AST]:
        """The nodes of a patched file that start on a line which the patch added."""
        lines = self.added.get(path, {})
        tree = self.modules.get(path)
        return (
            [node for node in ast.walk(tree) if getattr(node, "lineno", 0) in lines] if tree else []
        )

    def documentation(self, path: str) -> set[int]:
        """Lines of a patched Python file that are docstrings or comments and nothing else."""
        tree, lines = self.modules.get(path), self.added.get(path, {})
        if tree is None:
            return set()
        found = {number for number, line in lines.items() if line.lstrip(" \t").startswith("#")}
        for node in ast.walk(tree):
            match node:
                case ast.Expr(value=ast.Constant(value=str())):
                    found |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        return found


def make_review(patch: str, targets: list[str], files: dict[str, bytes] | None = None) -> Review:
    """Read a patch; `files` are the bytes of patched files and of the targets' test files."""
    added, headers = read_patch(patch)
    trees = {path: tree for path, data in (files or {}).items() if (tree := _parsed(data))}
    python = [path for path in added if path.endswith(".py")] if files is not None else []
    return Review(
        added=added,
        targets=targets,
        headers=headers,
        modules={path: tree for path, tree in trees.items() if path in added},
        tests={path: tree for path, tree in trees.items() if path in test_files(targets)},
        unparsed=[path for path in python if path not in trees],
    )


def test_files(targets: list[str]) -> set[str]:
    """The files that the targets are in."""
    return {target.split("::", 1)[0] for target in targets}


def read_patch(patch: str) -> tuple[Added, list[tuple[str, str]]]:
    """The lines that git's unified diff adds to product code, and its headers (path, header)."""
    added: Added = {}
    headers: list[tuple[str, str]] = []
    for path, sign, number, text in _walk(patch):
        if sign == "h":
            headers.append((path, text))
        elif sign == "+" and not is_test_code(path):
            added.setdefault(path, {})[number] = text.removesuffix("\r")
    return added, headers


def lines_of(patch: str) -> Iterator[tuple[str, str, int, str]]:
    """Path, sign, number and text of every line in the hunks of a patch.

    The sign is `+`, `-`, a space, or `@` where a hunk begins. Removed lines have the number they
    had, others the one they get.
    """
    return (line for line in _walk(patch) if line[1] != "h")


def _walk(patch: str) -> Iterator[tuple[str, str, int, str]]:
    """The same, with headers outside of hunks as `h`.

    Hunks are read by their line counts, so no content can pass for a header.
    """
    path, old, new, before, number = "", 0, 0, 0, 0
    for line in patch.split("\n"):
        sign = line[:1] or " "
        if old > 0 or new > 0:
            if sign == "\\":
                continue
            yield path, sign, before if sign == "-" else number, line[1:]
            if sign != "+":
                old, before = old - 1, before + 1
            if sign != "-":
                new, number = new - 1, number + 1
        elif match := HUNK.match(line):
            old, new = (int(count) if count else 1 for count in match.group(2, 4))
            before, number = int(match.group(1)), int(match.group(3))
            yield path, "@", number, line
        elif line.startswith("+++ "):
            path = line[4:].removesuffix("\t").removeprefix("b/")
        else:
            if line.startswith("diff --git "):
                path = line.rpartition(" b/")[2]
            yield path, "h", 0, line


def _parsed(data: bytes) -> ast.Module | None:
    try:
        return ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
