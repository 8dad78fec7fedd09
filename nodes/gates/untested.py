"""What the tests run of the statements that a patch adds to Python code."""

import ast
from itertools import groupby

from nodes.gates.patch_text import Review
from nodes.state import Finding
from tools.results import Reach

Span = tuple[int, int]
"""First and last line of what runs as one: a simple statement, or the head of a compound one."""

Spans = dict[str, list[Span]]

IDLE = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass, ast.Global, ast.Nonlocal,
    ast.Try, ast.TryStar,
)  # fmt: skip
"""Statements that do nothing worth a test by themselves; what is in them is looked at."""

GATE = "untested_lines"


def changed_statements(review: Review) -> Spans:
    """The statements of product code that have an added line, by path."""
    found: Spans = {}
    for path, tree in review.modules.items():
        added = review.added[path]
        spans = {
            span
            for node in ast.walk(tree)
            if isinstance(node, ast.stmt) and not _is_idle(node)
            for span in [_span(node)]
            if any(line in added for line in range(span[0], span[1] + 1))
        }
        if spans:
            found[path] = sorted(spans)
    return found


def _is_idle(node: ast.stmt) -> bool:
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant or isinstance(node, IDLE)


def _span(node: ast.stmt) -> Span:
    if isinstance(node, ast.Match):
        return node.lineno, node.subject.end_lineno or node.lineno
    body: list[ast.stmt] = getattr(node, "body", [])
    last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
    return node.lineno, max(node.lineno, last)


def lines_of(spans: Spans) -> dict[str, list[int]]:
    """All lines of the statements, by path."""
    return {
        path: [line for first, last in found for line in range(first, last + 1)]
        for path, found in spans.items()
    }


def untested(spans: Spans, reach: Reach) -> Spans:
    """The statements of which no line ran."""
    ran = reach.lines or {}
    found = {
        path: [span for span in mine if not any(n in ran.get(path, {}) for n in _lines(span))]
        for path, mine in spans.items()
    }
    return {path: mine for path, mine in found.items() if mine}


def covered(spans: Spans, reach: Reach | None) -> float | None:
    """The share of the statements of which a line ran; None where there are none, or no trace."""
    count = sum(map(len, spans.values()))
    if not count or reach is None or reach.lines is None:
        return None
    return 1 - sum(map(len, untested(spans, reach).values())) / count


def untested_lines(spans: Spans, reach: Reach | None, review: Review, patch: str) -> list[Finding]:
    """Name statements that no test runs; block where none runs, and nothing else explains that.

    What only removes lines, files other than Python's, and processes that tests start can make
    tests pass without any added line being seen to run.
    """
    if not spans or reach is None:
        return []
    if reach.lines is None:
        message = "it is not known which changed lines the tests run: they trace by themselves"
        return [Finding(gate=GATE, message=message, blocking=False)]
    missing = untested(spans, reach)
    explained = (
        reach.children
        or _removes_only(patch)
        or any(not path.endswith(".py") for path in review.added)
    )
    blocking = missing == spans and not explained
    return [
        Finding(gate=GATE, message=f"{path}: no test runs {_numbers(mine)}", blocking=blocking)
        for path, mine in missing.items()
    ]


def _removes_only(patch: str) -> bool:
    """Whether anything is removed with nothing in its place."""
    groups = groupby(patch.split("\n"), key=lambda line: line[:1] in ("+", "-"))
    return any(all(line[0] == "-" for line in lines) for changed, lines in groups if changed)


def _lines(span: Span) -> range:
    return range(span[0], span[1] + 1)


def _numbers(spans: list[Span]) -> str:
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in spans[:20]]
    more = ", ..." if len(spans) > len(shown) else ""
    return f"line{'s' if len(spans) > 1 or '-' in shown[0] else ''} {', '.join(shown)}{more}"
