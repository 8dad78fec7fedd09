"""The note a running server leaves in its data folder, so that others find it again."""

import json
import os
from pathlib import Path
from typing import Any

STATE_FILE = "server.json"


def read_start_time(pid: int) -> int | None:
    """Return a process's start time in clock ticks since boot: with the pid, its identity.

    None when there is no such process, or only its zombie.
    """
    try:
        text = Path("/proc", str(pid), "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def read_state(data_dir: Path) -> dict[str, Any]:
    """Read what the last server of this folder said about itself; {} when there was none."""
    try:
        state = json.loads((data_dir / STATE_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(data_dir: Path, state: dict[str, Any]) -> None:
    """Replace the state file atomically, adding who we are. Mode 0600: it has the key."""
    me = {"pid": os.getpid(), "start_time": read_start_time(os.getpid())}
    draft = data_dir / f"{STATE_FILE}.unfinished"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(json.dumps(state | me))
    draft.replace(data_dir / STATE_FILE)
