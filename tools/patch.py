"""Patches: made by git inside a desktop against the base, applied in another or to a folder."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from tools.desktop import Desktop
from tools.errors import ToolError, UsageError
from tools.layout import CONTROL, PROGRAMS, REPO, install_programs

PATCH_LIMIT = 8 << 20
"""Bytes of a patch; a larger one is taken for generated files and refused."""


class ChangedFile(BaseModel):
    """One file of a patch; `status` is git's letter: A added, M modified, D deleted, T type."""

    path: str
    status: str
    added: int = 0
    removed: int = 0


FILES = TypeAdapter(list[ChangedFile])


@dataclass(frozen=True)
class Patch:
    """A binary-safe unified diff against the base commit, and the files it touches."""

    text: str
    files: list[ChangedFile]


async def make_patch(
    desktop: Desktop,
    base_commit: str,
    *,
    apply: str = "",
    remove: Sequence[str] = (),
    since: str = "",
    reverse: bool = False,
) -> Patch:
    """Diff the working tree, untracked files included, against the base.

    With `apply`, that patch is applied, all or nothing, and is the difference; then `remove` are
    removed. With `since`, another patch to the base, it starts from what that one makes; with
    `reverse` it leads from the working tree back to its start.
    In a coder's desktop the answer is the coder's word, in a pristine one the truth.

    Raises:
        ToolError: git refuses, the patch is larger than `PATCH_LIMIT`, or holds a secret.
    """
    await install_programs(desktop)
    out = f"{CONTROL}/work"
    options: dict[str, object] = {
        "repo": REPO, "base": base_commit, "out": out, "remove": list(remove), "reverse": reverse,
    }  # fmt: skip
    for name, patch in (("apply", apply), ("since", since)):
        options[name] = f"{CONTROL}/{name}.patch" if patch else ""
        if patch:
            data = patch.encode("utf-8", "surrogateescape")
            await desktop.fs.write_file(str(options[name]), data)
    done = await desktop.exec(
        "python", [f"{PROGRAMS}/make_patch.py", json.dumps(options)], timeout_s=300
    )
    if not done.ok:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.exit_code}"]
        raise ToolError(lines[-1][:300])
    data = await desktop.fs.read_unchanged(f"{out}.patch", PATCH_LIMIT)
    text = data.decode("utf-8", "surrogateescape")
    if held := desktop.sink.named(text):
        await desktop.fs.remove(f"{out}.patch")
        raise ToolError(f"the patch holds the value of secret {', '.join(held)}, or is next to it")
    try:
        listed = FILES.validate_json(await desktop.fs.read_bytes(f"{out}.json", PATCH_LIMIT))
    except ValidationError as error:
        raise ToolError("the list of changed files is malformed") from error
    return Patch(text, listed)


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
