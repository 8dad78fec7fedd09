"""Edits of text: spans inside one text, and whole-line replacements that name their place uniquely.

Operators think in spans (offsets). What leaves the engine is the coder's own operation,
`replace(path, old, new)`, in which `old` has to occur exactly once.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class SpanEdit:
    """Put `new` in place of `text[start:end]`; an insertion has `start == end`."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """Put `new` in place of the only occurrence of `old` in the file at `path`."""

    path: str
    old: str
    new: str


def apply_spans(text: str, edits: Iterable[SpanEdit]) -> str:
    """Apply edits whose offsets all refer to `text` itself, whatever their order."""
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.new + text[edit.end :]
    return text


def split_lines(text: str) -> list[str]:
    r"""Split as Python counts lines: at `\n` only, not at form feeds as `str.splitlines` does."""
    lines = text.split("\n")
    ended = [line + "\n" for line in lines[:-1]]
    return [*ended, lines[-1]] if lines[-1] else ended


def occurrences(text: str, part: str) -> int:
    """Count the occurrences of `part`, overlapping ones too; stops counting at two."""
    first = text.find(part)
    if first < 0:
        return 0
    return 1 if text.find(part, first + 1) < 0 else 2


def replacements(path: str, before: str, after: str) -> tuple[Replacement, ...]:
    """Turn `before` into `after` by replacements that apply one after the other."""
    old_lines, new_lines = split_lines(before), split_lines(after)
    matcher = difflib.SequenceMatcher(None, old_lines, new_lines, autojunk=False)
    found = []
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        # What the file reads once the earlier replacements are in: new above, old below.
        lines = new_lines[:new_start] + old_lines[old_start:]
        top, bottom = _unique_window(lines, new_start, new_start + old_end - old_start)
        found.append(
            Replacement(
                path,
                "".join(lines[top:bottom]),
                "".join(lines[top:new_start])
                + "".join(new_lines[new_start:new_end])
                + "".join(lines[new_start + old_end - old_start : bottom]),
            )
        )
    return tuple(found)


def apply_replacement(text: str, replacement: Replacement) -> str:
    """Apply one replacement.

    Raises:
        ValueError: `old` does not occur exactly once.
    """
    if occurrences(text, replacement.old) != 1:
        raise ValueError(f"{replacement.path}: the text to replace does not occur exactly once")
    return text.replace(replacement.old, replacement.new)


def _unique_window(lines: list[str], top: int, bottom: int) -> tuple[int, int]:
    text = "".join(lines)
    above = True
    while (top > 0 or bottom < len(lines)) and (
        top == bottom or occurrences(text, "".join(lines[top:bottom])) != 1
    ):
        if (above and top > 0) or bottom == len(lines):
            top -= 1
        else:
            bottom += 1
        above = not above
    return top, bottom
