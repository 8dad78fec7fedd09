"""The repository inside the desktop: unpacked, made a git repository with one base commit."""

import json
from collections.abc import Iterable

from pydantic import BaseModel

from tools.desktop import Desktop
from tools.errors import ToolError, UsageError
from tools.files import inside
from tools.layout import CONTROL, PROGRAMS, REPO, install_programs
from tools.source import Packed


class Repository(BaseModel):
    """What `prepare` found and made."""

    name: str
    base_commit: str
    """The one commit in the desktop; the same bytes give the same id."""
    tree: str
    """Git's id of the content: the key under which analyses are kept."""
    files: int
    is_git: bool
    """Whether the source was a git repository; where not, its head is empty."""
    head: str = ""
    """The commit the user's own repository was at, empty when unknown."""
    uncommitted: int = 0
    """Files with changes that were not committed; they are part of the base."""


async def install_repository(desktop: Desktop, packed: Packed) -> Repository:
    """Unpack an archive to `REPO` and commit everything as the base.

    Raises:
        UsageError: the archive is broken, holds nothing, or would write outside its folder.
    """
    await install_programs(desktop)
    archive = f"{CONTROL}/source.archive"
    options = {"archive": archive, "repo": REPO, "made_by_us": packed.made_by_us}
    await desktop.fs.upload(archive, packed.archive)
    execution = await desktop.exec(
        "python",
        [f"{PROGRAMS}/unpack.py", json.dumps(options)],
        timeout_s=600,
    )
    if not execution.ok:
        reason = execution.stderr.strip().splitlines() or ["no reason given"]
        raise UsageError(f"cannot unpack {packed.name}: {reason[-1]}")
    return Repository(name=packed.name, **json.loads(execution.stdout.splitlines()[-1]))


async def existing(desktop: Desktop, commit: str, paths: Iterable[str]) -> set[str]:
    """Those of the paths that are files or folders of a commit, by the desktop's word."""
    wanted = [path for path in paths if _is_inside(path)]
    command = ["ls-tree", "-z", "--name-only", "--full-tree", commit, "--", *wanted]
    listing = await desktop.exec("git", ["-C", REPO, *command]) if wanted else None
    found = set(listing.stdout.split("\0")) if listing and listing.ok else set()
    return found.intersection(wanted)


def _is_inside(path: str) -> bool:
    try:
        return bool(inside(path)) and "\0" not in path
    except ToolError:
        return False
