"""Suspending desktops nobody uses: they stand still in memory until somebody does.

Idle means that for the whole time no client called the desktop, by the API or on its ports, and
none was connected to it. What its programs do meanwhile does not count. A suspended desktop is
paused, wakes on any use whatever its lifecycle says, and its timeout goes on as if it were running.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from sentient_desktop.desktop import Desktop
from sentient_desktop.operations.logs import log_event

MAX_INTERVAL_S = 15.0

_log = logging.getLogger(__name__)


async def suspend_idle_forever(
    desktops: Callable[[], Iterable[Desktop]], idle_s: float, on_suspend: Callable[[], object]
) -> None:
    """Look again and again for desktops unused for ``idle_s``; 0 ends this at once."""
    while idle_s > 0:
        await asyncio.sleep(min(MAX_INTERVAL_S, idle_s / 4))
        now = time.monotonic()
        for desktop in desktops():
            if desktop.in_use:
                desktop.used_at = now
            elif _is_awake(desktop) and now - desktop.used_at >= idle_s:
                try:
                    await desktop.pause(keep_processes=True, suspended=True)
                except Exception:  # noqa: BLE001 - one desktop must not end this for all
                    _log.exception("desktop %s could not be suspended", desktop.id)
                    continue
                on_suspend()
                log_event(_log, "suspended", desktop=desktop.id)


def _is_awake(desktop: Desktop) -> bool:
    running = desktop.record.state == "running" and not desktop.lock.locked()
    return running and desktop.jail is not None and desktop.jail.alive
