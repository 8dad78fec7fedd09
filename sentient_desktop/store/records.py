"""What the registry knows of each desktop and snapshot."""

import secrets
import time
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import Any

POOLED = "pooled"
"""State of a desktop that was booted ahead and is nobody's yet."""


@dataclass
class DesktopRecord:
    """The durable half of a desktop. Times are Unix seconds."""

    id: str
    template: str
    token: str
    started_at: float
    end_at: float
    timeout_s: int
    software: str = "base"
    """The built-in template whose packages it has; for one made from a snapshot, its origin's."""
    state: str = "running"
    """``running``, ``paused`` or POOLED; whether processes exist now is not recorded here."""
    uid: int | None = None
    """Host uid of the guest when the server is root; it owns the desktop's files."""
    layers: list[str] = field(default_factory=list)
    """Read-only layers below the writable one, bottom first."""
    envs: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    auto_pause: bool = False
    auto_pause_memory: bool = True
    auto_resume: bool = False
    internet: bool = False
    """Whether the desktop may reach what no network rule mentions."""
    network: dict[str, Any] = field(default_factory=dict)
    """The network policy as the client gave it (``allowOut``, ``maskRequestHost`` and so on)."""
    traffic_token: str = ""
    """What requests to ports must show; "" when the ports are public."""
    monitor_pid: int = 0
    """bubblewrap's pid and start time, for the sweep after a crash; 0 when not booted."""
    monitor_start: int = 0
    init_pid: int = 0
    """The guest's pid 1 as the host sees it, with its start time: the last one to go."""
    init_start: int = 0
    suspended: bool = False
    """Whether it is paused only because nobody used it: it wakes on use, and its time goes on."""
    owner: str = "default"
    """Whose API key made it; nobody else's sees it."""


CHOICES = (
    "software", "envs", "metadata", "auto_pause", "auto_pause_memory", "auto_resume", "internet",
    "network", "owner",
)  # fmt: skip
"""What the creator chose and a fork takes over; everything else is the fork's own."""


def new_record(template: str, *, timeout_s: int, **fields: Any) -> DesktopRecord:
    """Return the record of a desktop to be made now, with an id and a token of its own."""
    now = time.time()
    return DesktopRecord(
        id=f"i{secrets.token_hex(10)}",
        template=template,
        token=secrets.token_hex(20),
        started_at=now,
        end_at=now + timeout_s,
        timeout_s=timeout_s,
        **fields,
    )


def fork_record(parent: DesktopRecord, layers: list[str], timeout_s: int) -> DesktopRecord:
    """Return the record of a desktop that starts on ``layers`` with the parent's choices."""
    chosen = {name: copy(getattr(parent, name)) for name in CHOICES}
    traffic_token = parent.traffic_token and secrets.token_hex(20)
    return new_record(
        parent.template,
        timeout_s=timeout_s,
        layers=list(layers),
        traffic_token=traffic_token,
        **chosen,
    )


@dataclass
class SnapshotRecord:
    """An immutable disk. Deleting it frees the layers no other row names."""

    id: str
    desktop_id: str
    template: str
    created_at: float
    software: str = "base"
    uid: int | None = None
    layers: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    owner: str = "default"


def layers_of(owners: Iterable[DesktopRecord | SnapshotRecord]) -> set[str]:
    """The layers that any of them stands on."""
    return {name for owner in owners for name in owner.layers}
