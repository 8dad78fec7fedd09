"""File tools for coders: read with line ranges, search, exact-match replace, create."""

import asyncio
from dataclasses import dataclass
from pathlib import PurePosixPath

from tools.desktop import Desktop
from tools.edits import replaced
from tools.errors import ToolError
from tools.layout import REPO

READ_LINES = 400
"""Lines a single read returns at most."""

READ_SHOWN, LINE_SHOWN = 20_000, 2000
"""Characters that a read returns at most, and of one line."""

FILE_LIMIT = 1 << 20
"""Bytes of a file that the tools read or write."""

SEARCH_LIMIT, HIT_SHOWN = 8000, 300
"""Characters of search results that are returned, and of one hit."""


@dataclass(frozen=True)
class Outcome:
    """What a call answers once `content` is written to `path`, or without it when that is empty."""

    answer: str
    path: str = ""
    content: str = ""


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
    """A file as it is: what is shown of it still has to pass the sink."""
    data = await desktop.fs.read_unchanged(inside(path), FILE_LIMIT)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolError(f"{path} is not a UTF-8 text file") from error


async def read_file(desktop: Desktop, path: str, first: int = 1, last: int = 0) -> Outcome:
    """Return lines `first` to `last` (from 1, inclusive; 0 means the end) with their numbers."""
    lines = desktop.sink.text(await _text(desktop, path)).splitlines()
    last = min(last or len(lines), first + READ_LINES - 1, len(lines))
    shown, room = [], READ_SHOWN
    for number in range(max(1, first), last + 1):
        line = f"{number}\t{_cut(lines[number - 1], LINE_SHOWN)}"
        room -= len(line) + 1
        if room < 0:
            last = number - 1
            break
        shown.append(line)
    rest = f"\n[{len(lines) - last} more lines]" if last < len(lines) else ""
    return Outcome("\n".join(shown) + rest if shown else f"{path} has {len(lines)} lines")


def _cut(line: str, limit: int) -> str:
    return line if len(line) <= limit else f"{line[:limit]} [{len(line) - limit} more characters]"


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
    if held := desktop.sink.named(text):
        raise ToolError(f"{path} holds the value of secret {', '.join(held)}; use shell commands")
    answer = f"replaced {len(old.splitlines())} lines of {path} by {len(new.splitlines())}"
    changed = await asyncio.to_thread(replaced, text, path, old, new)
    return Outcome(answer, inside(path), changed)


async def search(desktop: Desktop, pattern: str, path: str = "") -> Outcome:
    """Search tracked and new files by a regular expression (git grep -E), as `file:line:text`."""
    where = [inside(path)] if path not in ("", ".") else []
    command = ["-C", REPO, "grep", "-nIE", "--untracked", "-e", pattern, "--", *where]
    execution = await desktop.exec("git", command, timeout_s=60)
    if execution.exit_code > 1:
        raise ToolError(f"cannot search for {pattern!r}: {execution.stderr.strip()[-300:]}")
    found = "\n".join(_cut(hit, HIT_SHOWN) for hit in execution.stdout.split("\n"))
    found = found.replace(f"{REPO}/", "")
    if len(found) > SEARCH_LIMIT:
        found = found[:SEARCH_LIMIT].rsplit("\n", 1)[0] + "\n[more matches; narrow the pattern]"
    return Outcome(found or "no match")
