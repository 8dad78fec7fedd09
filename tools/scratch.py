"""Temporary folders that outlive no process for long: what a killed one left, the next one removes.

A folder is held by a lock that the kernel frees on any death; one that nobody holds is nobody's.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def scratch_folder(parent: Path) -> AsyncIterator[Path]:
    """Make a folder in `parent` that is gone afterwards; those of dead processes are removed."""
    folder, hold = await asyncio.to_thread(_make, parent)
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        os.close(hold)


def _make(parent: Path) -> tuple[Path, int]:
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    gate = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)  # nobody sweeps between the making and the holding
        for entry in parent.iterdir():
            _remove_abandoned(entry)
        folder = Path(tempfile.mkdtemp(dir=parent))
        hold = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(hold, fcntl.LOCK_EX)
    finally:
        os.close(gate)
    return folder, hold


def _remove_abandoned(folder: Path) -> None:
    try:
        hold = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:  # its owner has just removed it
        return
    try:
        fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(hold)
