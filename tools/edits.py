"""Edits by exact text: done where it occurs once; else the reason, and the lines meant."""

import difflib
import re
from collections.abc import Sequence

from tools.errors import ToolError

PLACEHOLDER = re.compile(r"^\s*(#|//)?\s*\.\.\.\s*(rest|remaining|existing|unchanged)", re.M | re.I)

LINES, WANTED, WIDTH = 20_000, 60, 200
"""What is looked at for the nearest lines: of the file, of the text sought, characters of each."""

SHOWN = 12
"""Lines that a hint shows."""

CANDIDATES = 5
"""Places that are compared closely."""


def replaced(text: str, path: str, old: str, new: str) -> str:
    """The text with its one occurrence of `old` replaced.

    Raises:
        ToolError: `old` is missing (the nearest lines are told), not unique, or a placeholder.
    """
    if not old:
        raise ToolError("the text to replace is empty; use create_file for a new file")
    if PLACEHOLDER.search(new) and not PLACEHOLDER.search(old):
        raise ToolError("the new text holds a placeholder like '... rest unchanged'; write it out")
    if old == new:
        raise ToolError("the old and the new text are the same")
    count = text.count(old)
    if count == 1:
        return text.replace(old, new)
    if count > 1:
        places = ", ".join(map(str, _occurrences(text, old)))
        more = ", ..." if count > SHOWN else ""
        raise ToolError(
            f"the text occurs {count} times in {path}, from lines {places}{more}; "
            "add lines around it, so that it occurs once"
        )
    if new and text.count(new) == 1 and len(new) > 20:
        raise ToolError(f"{path} does not hold the old text, but holds the new one: already done?")
    raise ToolError(f"the text does not occur in {path}; {nearest(text, old)}")


def _occurrences(text: str, old: str) -> list[int]:
    """The lines where the first occurrences begin, from 1."""
    lines: list[int] = []
    at = -1
    while (at := text.find(old, at + 1)) >= 0 and len(lines) < SHOWN:
        lines.append(text.count("\n", 0, at) + 1)
    return lines


def nearest(text: str, old: str) -> str:
    """The lines of a text that are most like another one, numbered, and how they differ."""
    lines = text.splitlines()[:LINES]
    wanted = [line[:WIDTH] for line in old.strip("\n").splitlines()[:WANTED]]
    bare = [line.strip()[:WIDTH] for line in lines]
    sought = [line.strip() for line in wanted]
    places = _places(bare, sought)
    if not places:
        return "no lines are similar to it"
    first = max(places, key=lambda place: _similarity(bare[place : place + len(sought)], sought))
    found = lines[first : first + len(wanted)]
    shown = "\n".join(f"{first + n + 1}\t{line[:WIDTH]}" for n, line in enumerate(found[:SHOWN]))
    return f"{_difference(found, wanted)} nearest, from line {first + 1}:\n{shown}"


def _places(bare: list[str], sought: list[str]) -> list[int]:
    """Where the most lines agree but for the space around them; else where one is similar."""
    hits: dict[int, int] = {}
    where: dict[str, list[int]] = {}
    for number, line in enumerate(bare):
        where.setdefault(line, []).append(number)
    for offset, line in enumerate(sought):
        for number in where.get(line, ())[: LINES // 100] if line else ():
            hits[max(0, number - offset)] = hits.get(max(0, number - offset), 0) + 1
    if not hits:
        longest = max(sought, key=len, default="")
        close = difflib.get_close_matches(longest, list(filter(None, where)), n=3, cutoff=0.6)
        offset = sought.index(longest) if sought else 0
        return [max(0, number - offset) for line in close for number in where[line][:CANDIDATES]]
    return sorted(hits, key=lambda place: -hits[place])[:CANDIDATES]


def _similarity(found: list[str], sought: list[str]) -> tuple[float, float]:
    """How many lines are the same, wherever they are; then how alike they are in pairs.

    Characters are compared in pairs of lines alone: over all lines it takes seconds.
    """
    pairs = zip(found, sought, strict=False)
    return _ratio(found, sought), sum(_ratio(a[:WIDTH], b) for a, b in pairs)


def _ratio(a: Sequence[str], b: Sequence[str]) -> float:
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()


def _difference(found: list[str], wanted: list[str]) -> str:
    """The first line that differs, as it is and as it was written."""
    if [line.split() for line in found] == [line.split() for line in wanted]:
        return "it differs in white space alone;"
    for is_, written in zip(found, wanted, strict=False):
        if is_.strip() != written.strip():
            return f"the file has {is_.strip()[:WIDTH]!r} for {written.strip()[:WIDTH]!r};"
    return "the file ends before it;"
