"""The files at one checkpoint against those at another, as a patch.

Git runs in short-lived desktops made from the two snapshots, never on this machine; the thread's
own desktop is not touched. What a coder did to git in there is part of the answer: it is for
reading, no verdict rests on it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nodes.desktops import OWNER, ROLE
from sentient.timeline import Moment, Timeline
from sentient.travel import check_files
from tools.connection import Connection
from tools.desktop import Desktop
from tools.errors import UsageError
from tools.patch import Patch, make_patch

BASE = "base"
"""The name of the repository as the thread found it."""

LIFE_S = 600
"""Seconds after which the server ends a desktop that a dead process left."""


@asynccontextmanager
async def desktop_at(
    connection: Connection, timeline: Timeline, moment: Moment
) -> AsyncIterator[Desktop]:
    """A desktop with the files of a checkpoint, for reading; killed afterwards.

    Raises:
        UsageError: the checkpoint is from before the desktop existed.
        EnvironmentFaultError: its snapshot is gone from the server.
    """
    await check_files(connection, timeline, moment)
    async with await Desktop.create(
        template=moment.snapshot,
        lifecycle="ephemeral",
        metadata={OWNER: timeline.thread, ROLE: "reader"},
        timeout_s=LIFE_S,
        connection=connection,
    ) as desktop:
        yield desktop


async def compare(connection: Connection, timeline: Timeline, earlier: str, later: str) -> Patch:
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
        return await _since_base(connection, timeline, moment, reverse=other is None)
    if one.snapshot and one.snapshot == other.snapshot:
        return Patch("", [])
    first = await _since_base(connection, timeline, one)
    return await _since_base(connection, timeline, other, since=first.text)


async def _since_base(
    connection: Connection,
    timeline: Timeline,
    moment: Moment,
    *,
    since: str = "",
    reverse: bool = False,
) -> Patch:
    async with desktop_at(connection, timeline, moment) as desktop:
        base = moment.values["base"]["commit"]
        return await make_patch(desktop, base, since=since, reverse=reverse)
