"""Which files of the repository differ from its base: names alone, cheap enough for every step."""

import shlex
from typing import TypedDict

from tools.desktop import Desktop
from tools.layout import REPO

LISTED = 200
"""Names that are listed; the count goes on beyond them."""

GIT = "git --no-optional-locks -c core.fsmonitor=false"
STATUS = f"{GIT} status --porcelain=v2 --branch --no-renames --untracked-files=all -z"
SINCE = f"{GIT} diff --name-only --no-renames --no-ext-diff -z {{base}} --"
NEW = f"{GIT} ls-files --others --exclude-standard -z"

FIELDS = {"1": 8, "u": 10, "?": 1}
"""Spaces before the path in a record of `git status --porcelain=v2`, by the record's first word."""


class Changes(TypedDict):
    """What differs from the base, as channels of the state."""

    changed: list[str]
    """Paths, at most `LISTED`."""
    changed_count: int | None
    """How many there are in all; None when git in the desktop cannot tell."""


UNKNOWN = Changes(changed=[], changed_count=None)


async def changed_files(desktop: Desktop, base_commit: str) -> Changes:
    """Compare the working tree, new files included, with the base.

    The coder's desktop answers, so this is its word: for people to read, never for a verdict.
    """
    found = await _records(desktop, STATUS)
    if found is None:
        return UNKNOWN
    records, count = found
    headers = [record for record in records if record.startswith("# ")]
    if f"# branch.oid {base_commit}" in headers:
        paths = [_path(record) for record in records[len(headers) :][:LISTED]]
        return Changes(changed=paths, changed_count=count - len(headers))
    # the coder has committed
    since = await _records(desktop, f"{SINCE.format(base=shlex.quote(base_commit))} && {NEW}")
    return Changes(changed=since[0][:LISTED], changed_count=since[1]) if since else UNKNOWN


async def _records(desktop: Desktop, command: str) -> tuple[list[str], int] | None:
    """The NUL-terminated records that a command prints: the first ones, and how many in all.

    None when it fails.
    """
    count = 0

    def counted(piece: str) -> None:
        nonlocal count
        count += piece.count("\0")

    done = await desktop.exec(command, cwd=REPO, timeout_s=60, on_stdout=counted)
    return (done.stdout.split("\0")[:-1], count) if done.ok else None


def _path(record: str) -> str:
    return record.split(" ", FIELDS.get(record[:1], 1))[-1]
