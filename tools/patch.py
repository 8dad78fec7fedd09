"""Patches: made by git inside the desktop against the base, applied there or to a folder."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from tools.desktop import Desktop
from tools.errors import ToolError, UsageError
from tools.layout import CONTROL, REPO
from tools.repository import git

PATCH_LIMIT = 8 << 20
"""Bytes of a patch; a larger one is taken for generated files and refused."""


class ChangedFile(BaseModel):
    """One file of a patch; `status` is git's letter: A added, M modified, D deleted, T type."""

    path: str
    status: str
    added: int = 0
    removed: int = 0


@dataclass(frozen=True)
class Patch:
    """A binary-safe unified diff against the base commit, and the files it touches."""

    text: str
    files: list[ChangedFile]


async def make_patch(desktop: Desktop, base_commit: str) -> Patch:
    """Diff the working tree, untracked files included, against the base.

    Raises:
        ToolError: the patch is larger than `PATCH_LIMIT`.
    """
    await git(desktop, "add", "--all")
    scratch = f"{CONTROL}/work.patch"
    plain = ["--no-ext-diff", "--no-textconv", "--no-renames", "--cached", base_commit]
    await git(desktop, "diff", "--binary", "--full-index", f"--output={scratch}", *plain)
    size = (await desktop.exec("stat", ["-c", "%s", scratch])).stdout.strip()
    if int(size or 0) > PATCH_LIMIT:
        raise ToolError(f"the patch has {size} bytes, more than {PATCH_LIMIT}")
    text = (await desktop.fs.read_bytes(scratch)).decode("utf-8", "surrogateescape")
    statuses = (await git(desktop, "diff", "--name-status", "-z", *plain)).split("\0")
    numbers = (await git(desktop, "diff", "--numstat", "-z", *plain)).split("\0")
    return Patch(text, _changed_files(statuses, numbers))


def _changed_files(statuses: list[str], numbers: list[str]) -> list[ChangedFile]:
    """Join `--name-status -z` (letter, path, …) with `--numstat -z` (added, removed, path)."""
    counts = {}
    for line in filter(None, numbers):
        added, removed, path = line.split("\t", 2)
        counts[path] = (int(added) if added != "-" else 0, int(removed) if removed != "-" else 0)
    pairs = zip(statuses[0::2], statuses[1::2], strict=False)
    return [
        ChangedFile(
            path=path, status=letter[:1], added=counts.get(path, (0, 0))[0],
            removed=counts.get(path, (0, 0))[1],
        )
        for letter, path in pairs
    ]  # fmt: skip


async def apply_patch(desktop: Desktop, text: str) -> None:
    """Apply a patch to `REPO` in a desktop, all or nothing.

    Raises:
        UsageError: it does not apply.
    """
    if text:
        path = f"{CONTROL}/apply.patch"
        await desktop.fs.write_file(path, text.encode("utf-8", "surrogateescape"))
        await git(desktop, "apply", "--binary", "--whitespace=nowarn", path)


async def restore_paths(desktop: Desktop, base_commit: str, paths: list[str]) -> None:
    """Put `paths` back to what they are in the base; those that are not in it are removed."""
    listing = f"{CONTROL}/restore.list"
    await desktop.fs.write_file(listing, "\0".join(paths))
    await desktop.exec(f"xargs -0 -a {listing} rm -rf --", cwd=REPO)
    known = set((await git(desktop, "ls-tree", "-r", "-z", "--name-only", base_commit)).split("\0"))
    await desktop.fs.write_file(listing, "\0".join(path for path in paths if path in known))
    pathspec = [f"--pathspec-from-file={listing}", "--pathspec-file-nul"]
    if known.intersection(paths):
        await git(desktop, "--literal-pathspecs", "checkout", base_commit, *pathspec)


def apply_to_folder(text: str, folder: Path) -> None:
    """Apply a patch to a folder of the user's, all or nothing; the folder's git is not asked.

    Raises:
        UsageError: the folder is not what the patch was made for.
    """
    command = ["git", "apply", "--binary", "--whitespace=nowarn", "-"]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "GIT_DIR": "/nonexistent", "LC_ALL": "C"},
        input=text.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise UsageError(
            f"the patch does not apply to {folder}: {lines[0]}", hint="nothing was changed"
        )
