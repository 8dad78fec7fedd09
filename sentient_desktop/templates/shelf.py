"""Package layers: folders of installed packages, built once and mounted read-only.

A layer is named by a hash of what it is made of, so servers of one user share it, and an upgrade
builds a new one beside it. It is complete and on the disk before it has its name.
"""

import asyncio
import hashlib
import os
import platform
import secrets
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from uv import find_uv_bin

from sentient_desktop.errors import ApiError, LaunchError
from sentient_desktop.sandbox.argv import PACKAGES_MOUNT
from sentient_desktop.sandbox.runtime import compile_tree
from sentient_desktop.store.trees import flush, remove_tree
from sentient_desktop.templates.recipes import RECIPES

FORMAT = 1
"""Raised when layers are built in another way, so that old ones are not taken for new."""

REASON_BYTES = 600
ABANDONED_S = 3600


def default_folder() -> Path:
    """Return where this user's layers are kept, for all servers of theirs.

    Raises:
        LaunchError: the user has no home folder.
    """
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    except RuntimeError as error:  # a bare uid without HOME, in a container for example
        raise LaunchError("this user has no home folder: set HOME or XDG_CACHE_HOME") from error
    return Path(cache, "sentient-desktop", "packages")


class Shelf:
    """The package layers of this machine, built when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._building: dict[str, asyncio.Task[Path]] = {}

    async def ensure(self, template: str) -> Path | None:
        """Return the layer of a template, building it if need be; None when it adds no packages.

        Building takes from seconds (packages cached) to minutes; whoever asks meanwhile waits for
        the same build. A build that failed is tried again by the next who asks.

        Raises:
            ApiError: 503 naming the template and the reason, when it cannot be built.
        """
        requirements = RECIPES[template].requirements()
        if not requirements:
            return None
        final = self._folder / _fingerprint(requirements)
        if final.is_dir():
            return final
        task = self._building.get(template)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(_build, template, requirements, final))
            self._building[template] = task
            task.add_done_callback(lambda _: self._building.pop(template, None))
        return await asyncio.shield(task)


def _fingerprint(requirements: tuple[str, ...]) -> str:
    parts = [str(FORMAT), sys.version, sysconfig.get_platform(), platform.libc_ver()[0]]
    return hashlib.sha256("\0".join((*parts, *requirements)).encode()).hexdigest()[:20]


def _build(template: str, requirements: tuple[str, ...], final: Path) -> Path:
    final.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    for left in final.parent.glob("*.unfinished"):
        if time.time() - left.stat().st_mtime > ABANDONED_S:  # a builder that was killed
            remove_tree(left)
    draft = final.with_name(f"{final.name}.{secrets.token_hex(4)}.unfinished")
    try:
        _install(template, requirements, draft)
        compile_tree(draft, PACKAGES_MOUNT)
        flush(draft)
        try:
            draft.rename(final)
        except OSError:
            if not final.is_dir():  # another server was quicker
                raise
        return final
    finally:
        remove_tree(draft)


def _install(template: str, requirements: tuple[str, ...], target: Path) -> None:
    """Install with uv from the index the user configured for it.

    Raises:
        ApiError: 503 with the end of what uv said.
    """
    command = [
        find_uv_bin(), "pip", "install", "--quiet", "--target", str(target),
        "--python", sys.executable, *requirements,
    ]  # fmt: skip
    result = subprocess.run(
        command, check=False, capture_output=True, stdin=subprocess.DEVNULL, cwd="/"
    )
    if result.returncode:
        reason = " ".join(result.stderr.decode(errors="replace").split())[-REASON_BYTES:]
        text = f"the packages of template '{template}' could not be installed: {reason}"
        raise ApiError(503, text, retryable=False)
