"""The files at one checkpoint against those at another, as a patch.

Git runs in short-lived desktops made from the two snapshots, never on this machine; the thread's
own desktop is not touched. What a coder did to git in there is part of the answer: it is for
reading, no verdict rests on it.

Such a desktop is its reader's, not the thread's: it has an owner of its own, whose lease the reader
holds. The thread may run, and end, beside it; when the reader is dead a sweep finds a desktop of
nobody.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from checkpoints.lease import lease_for_run
from nodes.desktops import OWNER, ROLE
from sentient.past.timeline import Moment, Timeline
from sentient.past.travel import check_files
from tools.connection import Connection
from tools.desktop import Desktop
from tools.errors import UsageError
from tools.home import HOME, home_id
from tools.patch import Patch, make_patch
from tools.settings import Settings

BASE = "base"
"""The name of the repository as the thread found it."""

READER = "reader"
"""The role of a desktop that shows the files of a checkpoint."""

LIFE_S = 600
"""Seconds after which the server ends a desktop that a dead process left, if no sweep does."""


@asynccontextmanager
async def desktop_at(
    settings: Settings, timeline: Timeline, moment: Moment
) -> AsyncIterator[Desktop]:
    """A desktop with the files of a checkpoint, for reading; killed afterwards.

    Raises:
        UsageError: the checkpoint is from before the desktop existed.
        EnvironmentFaultError: its snapshot is gone from the server.
    """
    connection = Connection(settings)
    await check_files(connection, timeline, moment)
    home = await asyncio.to_thread(home_id, settings.home)
    owner = f"a reader of {timeline.thread} ({secrets.token_hex(4)})"
    async with lease_for_run(settings.leases, owner) as lease:
        try:
            async with await Desktop.create(
                template=moment.snapshot,
                lifecycle="ephemeral",
                metadata={OWNER: owner, ROLE: READER, HOME: home},
                timeout_s=LIFE_S,
                connection=connection,
            ) as desktop:
                yield desktop
        finally:
            lease.discard()


async def compare(settings: Settings, timeline: Timeline, earlier: str, later: str) -> Patch:
    """What turns the files at `earlier` into those at `later`; either may be `base` or `latest`.

    Raises:
        UsageError: an unknown or ambiguous name, the same one twice, or a checkpoint without files.
        EnvironmentFaultError: a snapshot is gone from the server.
    """
    one, other = (None if name == BASE else timeline.find(name) for name in (earlier, later))
    if one is other:
        raise UsageError(f"{earlier} and {later} are the same: there is nothing to compare")
    if one is None or other is None:
        moment = one or other
        assert moment is not None
        return await _since_base(settings, timeline, moment, reverse=other is None)
    if one.snapshot and one.snapshot == other.snapshot:
        return Patch("", [])
    first = await _since_base(settings, timeline, one)
    return await _since_base(settings, timeline, other, since=first.text)


async def _since_base(
    settings: Settings,
    timeline: Timeline,
    moment: Moment,
    *,
    since: str = "",
    reverse: bool = False,
) -> Patch:
    async with desktop_at(settings, timeline, moment) as desktop:
        base = moment.values["base"]["commit"]
        return await make_patch(desktop, base, since=since, reverse=reverse)
