"""File tools for coders: read with line ranges, search, exact-match replace, create."""

import difflib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from tools.desktop import Desktop
from tools.errors import ToolError
from tools.layout import REPO

READ_LINES = 400
"""Lines a single read returns at most."""

FILE_LIMIT = 1 << 20
"""Bytes of a file that the tools read or write."""

SEARCH_LIMIT = 8000
"""Characters of search results that are returned."""


@dataclass(frozen=True)
class Outcome:
    """What a call answers once `content` is written to `path`, or without it when that is empty."""

    answer: str
    path: str = ""
    content: str = ""


PLACEHOLDER = re.compile(r"^\s*(#|//)?\s*\.\.\.\s*(rest|remaining|existing|unchanged)", re.M | re.I)


def inside(path: str) -> str:
    """Where a repository path is in the desktop.

    Raises:
        ToolError: the path is absolute, empty, leaves the repository or is git's own.
    """
    pure = PurePosixPath(path.removeprefix(f"{REPO}/"))
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or pure.parts[0] == ".git":
        raise ToolError(f"{path!r} is not a path inside the repository")
    return f"{REPO}/{pure}"


async def _text(desktop: Desktop, path: str) -> str:
    data = await desktop.fs.read_bytes(inside(path), FILE_LIMIT)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolError(f"{path} is not a UTF-8 text file") from error


async def read_file(desktop: Desktop, path: str, first: int = 1, last: int = 0) -> Outcome:
    """Return lines `first` to `last` (from 1, inclusive; 0 means the end) with their numbers."""
    lines = (await _text(desktop, path)).splitlines()
    last = min(last or len(lines), first + READ_LINES - 1, len(lines))
    shown = [f"{number}\t{lines[number - 1]}" for number in range(max(1, first), last + 1)]
    rest = f"\n[{len(lines) - last} more lines]" if last < len(lines) else ""
    return Outcome("\n".join(shown) + rest if shown else f"{path} has {len(lines)} lines")


async def create_file(path: str, content: str) -> Outcome:
    """A whole file, new or replaced."""
    if len(content.encode("utf-8", "replace")) > FILE_LIMIT:
        raise ToolError(f"content for {path} is larger than {FILE_LIMIT} bytes")
    return Outcome(f"wrote {path}, {len(content.splitlines())} lines", inside(path), content)


async def replace_text(desktop: Desktop, path: str, old: str, new: str) -> Outcome:
    """The file with `old`, which must occur exactly once, replaced by `new`; all else as it is.

    Raises:
        ToolError: `old` is missing (the nearest lines are told), not unique, or a placeholder.
    """
    text = await _text(desktop, path)
    answer = f"replaced {len(old.splitlines())} lines of {path} by {len(new.splitlines())}"
    return Outcome(answer, inside(path), replaced(text, path, old, new))


def replaced(text: str, path: str, old: str, new: str) -> str:
    """The text with its one occurrence of `old` replaced; see `replace_text`."""
    if not old:
        raise ToolError("the text to replace is empty; use create_file for a new file")
    if PLACEHOLDER.search(new) and not PLACEHOLDER.search(old):
        raise ToolError("the new text holds a placeholder like '... rest unchanged'; write it out")
    count = text.count(old)
    if count == 1:
        return text.replace(old, new)
    if count > 1:
        raise ToolError(f"the text occurs {count} times in {path}; add lines around it")
    if new and text.count(new) == 1 and len(new) > 20:
        raise ToolError(f"{path} does not hold the old text, but holds the new one: already done?")
    raise ToolError(f"the text does not occur in {path}; {_nearest(text, old)}")


def _nearest(text: str, old: str) -> str:
    lines, wanted = text.splitlines(), old.strip().splitlines()[0].strip() if old.strip() else ""
    close = difflib.get_close_matches(wanted, [line.strip() for line in lines], n=1, cutoff=0.6)
    if not close:
        return "no line is similar to its first line"
    number = next(n for n, line in enumerate(lines) if line.strip() == close[0])
    around = lines[max(0, number - 2) : number + 3]
    return f"nearest, from line {max(1, number - 1)}:\n" + "\n".join(around)


async def search(desktop: Desktop, pattern: str, path: str = "") -> Outcome:
    """Search tracked and new files by a regular expression (git grep -E), as `file:line:text`."""
    where = [inside(path)] if path not in ("", ".") else []
    command = ["-C", REPO, "grep", "-nIE", "--untracked", "-e", pattern, "--", *where]
    execution = await desktop.exec("git", command, timeout_s=60)
    if execution.exit_code > 1:
        raise ToolError(f"cannot search for {pattern!r}: {execution.stderr.strip()[-300:]}")
    found = execution.stdout
    if len(found) > SEARCH_LIMIT:
        found = found[:SEARCH_LIMIT].rsplit("\n", 1)[0] + "\n[more matches; narrow the pattern]"
    return Outcome(found or "no match")
