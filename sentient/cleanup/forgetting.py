"""Removing a thread with everything that is kept for it alone."""

from checkpoints.lease import thread_lease
from checkpoints.ledger import Ledger
from sentient.cleanup.housekeeping import housekeeping
from tools.settings import Settings


async def forget(settings: Settings, ledger: Ledger, thread: str) -> None:
    """Remove a thread: its checkpoints, its lines in the ledger, its desktops and snapshots.

    Snapshots that another thread's checkpoints name stay. What a server that does not answer keeps
    is left to the next prune.

    Raises:
        ThreadBusyError: another process is running it.
    """
    async with housekeeping(settings, ledger) as keeper:
        with thread_lease(settings.leases, thread) as lease:
            await keeper.forget(thread)
            await keeper.sweep(only=thread)
            await keeper.collect(only=thread)
            lease.discard()
