"""What a start of the server does first: nothing of an earlier one is left that nobody owns."""

import contextlib
import logging
import os
import signal
import time
from pathlib import Path

from sentient_desktop.state import read_start_time
from sentient_desktop.store.layers import LayerStore, remove_others
from sentient_desktop.store.records import POOLED, layers_of
from sentient_desktop.store.registry import Registry

_log = logging.getLogger(__name__)


def sweep(registry: Registry, folder: Path, layers: LayerStore) -> None:
    """Clean up after a server that did not exit properly. Blocks; call before anything boots.

    Kills jails the registry proves ours (same pid, same start time), waits until they are gone,
    and removes disks without a row, rows without a disk, the pool, and layers nobody names. What
    cannot be removed is logged and left for the next start: one stubborn folder must not stop the
    server.
    """
    folder.mkdir(mode=0o755, exist_ok=True)
    records = registry.desktops()
    for record in records:
        for pid, start in (
            (record.init_pid, record.init_start),
            (record.monitor_pid, record.monitor_start),
        ):
            _end_process(pid, start)
    remove_others(folder, {record.id for record in records if record.state != POOLED})
    for record in records:
        if not (folder / record.id).is_dir():
            registry.delete(record)
    for snapshot in registry.snapshots():
        missing = [name for name in snapshot.layers if not layers.path(name).is_dir()]
        if missing and missing[-1] == snapshot.layers[-1]:
            # its commit was reported as failed, yet it was in SQLite's log
            _log.error("snapshot %s is incomplete and forgotten", snapshot.id)
            registry.delete(snapshot)
        elif missing:
            _log.error("snapshot %s is damaged: it lacks %s", snapshot.id, ", ".join(missing))
    layers.keep_only(layers_of(registry.desktops()) | layers_of(registry.snapshots()))


def _end_process(pid: int, start: int, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while pid and start and read_start_time(pid) == start and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
