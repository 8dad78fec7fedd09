"""Jails that outlived their server: ended when it stops, or at the next start on its data folder.

A jail dies with its server, but for one moment: bubblewrap's child, cloned and not yet told to die
with its parent, waits for ever when its parent is killed just then. It has run no code of a guest.
"""

import logging
import os
import signal
from pathlib import Path

_log = logging.getLogger(__name__)


def end_strays(data_dir: Path) -> None:
    """Kill what is left of jails on this data folder; its lock has to be held.

    Only what is proven to be left over: a bubblewrap that logs into the folder, and whose parent is
    neither bubblewrap nor a spawner. So the jail of a doctor that probes just now is left alone.
    """
    folder = data_dir.resolve()
    for entry in Path("/proc").iterdir():
        name = entry.name
        if name.isdigit() and _name(name) == "bwrap" and _log_of(name).is_relative_to(folder):
            _end_orphan(name)


def _end_orphan(pid: str) -> None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        if _name(stat.rpartition(")")[2].split()[1]) in ("bwrap", "python"):
            return
        os.kill(int(pid), signal.SIGKILL)
        _log.warning("ended process %s, which a killed server had left", pid)
    except OSError:  # it ended by itself, or is another user's
        return


def _name(pid: str) -> str:
    """The name of a process's program, any Python's the same; empty for one that is gone."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
    return "python" if name.startswith("python") else name


def _log_of(pid: str) -> Path:
    """Where a process writes its errors; the root for one that cannot be asked."""
    try:
        return Path(f"/proc/{pid}/fd/2").readlink()
    except OSError:
        return Path("/")
