"""Prints a JSON analysis of the git repository in the current folder (run inside the desktop).

Python files are parsed with `ast`; nothing of the repository is imported or executed.
"""

import ast
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

LANGUAGES = {
    ".py": "Python", ".js": "JavaScript", ".ts": "TypeScript", ".go": "Go", ".rs": "Rust",
    ".java": "Java", ".c": "C", ".h": "C", ".cpp": "C++", ".sh": "Shell", ".md": "Markdown",
}  # fmt: skip

FILE_LIMIT = 4000
"""Python files that are parsed; the rest is only counted."""

SIZE_LIMIT = 512 * 1024
"""Bytes above which a file is not parsed (generated code)."""


def is_test(path):
    name = path.rsplit("/", 1)[-1]
    return name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"


def symbols_of(tree):
    """Top-level functions and classes with their methods, as `name` or `Class.name`, with lines."""
    found = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append([node.name, node.lineno, node.end_lineno])
        elif isinstance(node, ast.ClassDef):
            found.append([node.name, node.lineno, node.end_lineno])
            found += [
                [f"{node.name}.{part.name}", part.lineno, part.end_lineno]
                for part in node.body
                if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))
            ]
    return found


def imports_of(tree):
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add("." * node.level + node.module)
    return sorted(found)


def analyze():
    listing = subprocess.run(
        ["git", "ls-files", "-z"], capture_output=True, check=True
    ).stdout.decode("utf-8", "replace")
    paths = [path for path in listing.split("\0") if path]
    lines, modules, broken = Counter(), {}, []
    for path in paths:
        language = LANGUAGES.get(Path(path).suffix)
        file = Path(path)
        if language is None or file.is_symlink() or not file.is_file():
            continue
        text = file.read_bytes()
        lines[language] += text.count(b"\n")
        if language != "Python" or len(text) > SIZE_LIMIT or len(modules) >= FILE_LIMIT:
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            broken.append(path)
            continue
        modules[path] = {"symbols": symbols_of(tree), "imports": imports_of(tree)}
    return {
        "files": len(paths),
        "lines": dict(lines.most_common()),
        "modules": modules,
        "tests": [path for path in paths if path.endswith(".py") and is_test(path)],
        "unparsable": broken,
    }


json.dump(analyze(), sys.stdout)
