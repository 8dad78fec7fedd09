"""Where things are inside a desktop, and how our programs get there."""

import asyncio
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the SDK takes longer to import than a known analysis to read
    from tools.desktop import Desktop


HOME = "/home/user"
REPO = f"{HOME}/repo"
"""The repository under work."""

CONTROL = f"{HOME}/.sentient"
"""Our own folder in the desktop: programs, logs, results. Part of every snapshot."""

MARKS = f"{CONTROL}/marks"
"""Holds one empty file, whose name says which moment the files are of: `checkpoints.binding`."""

PROGRAMS = f"{CONTROL}/bin"

ENVIRONMENT = f"{CONTROL}/env"
"""The Python environment of the repository's tests; absent where nothing was installed."""


async def install_programs(desktop: "Desktop") -> None:
    """Write the programs of `tools.inside` to `PROGRAMS`; the same bytes each time."""
    await desktop.fs.write_files(await asyncio.to_thread(_programs))


def _programs() -> dict[str, str | bytes]:
    return {
        f"{PROGRAMS}/{entry.name}": entry.read_bytes()
        for entry in resources.files("tools.inside").iterdir()
        if entry.name.endswith((".py", ".mjs")) and entry.name != "__init__.py"
    }
