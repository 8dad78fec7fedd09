"""What an operator may choose about the server, and the limits every desktop lives under."""

import os
from dataclasses import dataclass, field
from pathlib import Path

ENVD_VERSION = "0.6.13"
"""The envd whose wire behaviour this server follows; SDKs gate features on it."""

ENVD_PORT = 49983
INTERPRETER_PORT = 49999

FRAME_LIMIT_BYTES = 16 << 20
"""Largest single message accepted from a client or from an agent."""

DEFAULT_TIMEOUT_S = 300
MAX_TIMEOUT_S = 30 * 24 * 3600


def _host_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Limits:
    """Bounds on one desktop. The host enforces all of them, the guest none."""

    processes: int = 512
    """RLIMIT_NPROC, counted inside the desktop's own user namespace (threads included)."""
    open_files: int = 4096
    """RLIMIT_NOFILE of every process."""
    file_bytes: int = 8 << 30
    """RLIMIT_FSIZE: the largest single file."""
    shm_bytes: int = 256 << 20
    """Size of /dev/shm and of /run, which live in memory and count as such."""
    cpus: float = field(default_factory=_cores)
    """Processor time per second, in cores; without cgroups, desktops share what there is."""
    memory_bytes: int = field(default_factory=lambda: min(4 << 30, _host_memory()))
    """Memory of all processes together. Beyond it the largest one is killed."""
    disk_bytes: int = 10 << 30
    """What a desktop may write in all. Soft: noticed within seconds, see limits/disk.py."""
    free_bytes: int = 1 << 30
    """What must stay free where the data folder lies; below it nothing new is made or written."""


@dataclass(frozen=True)
class Quota:
    """What one owner's desktops may have together, paused ones included; 0 means no bound."""

    desktops: int = 0
    cpus: float = 0
    memory_bytes: int = 0
    snapshot_bytes: int = 0
    """Disk of the layers its snapshots stand on; may be passed once, by the last snapshot."""


@dataclass(frozen=True)
class Settings:
    """One server: where it listens and the folders it writes to."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    """0 picks a free port, the one of the previous run first."""
    limits: Limits = Limits()
    limits_by: str = "auto"
    """The means that bound desktops: ``auto`` or one of limits.means.NAMES."""
    open_egress: bool = False
    """Connect desktops without network rules to the internet directly, by pasta or slirp4netns,
    instead of through the proxy. Costs each of them a process and its start."""
    private_egress: tuple[str, ...] = ()
    """CIDR blocks that are not the internet and that desktops may be allowed, by a rule, to reach.
    Everything of the kind is refused otherwise: this machine's services live there."""
    hosts: tuple[tuple[str, str], ...] = ()
    """(name, address) of hosts that are not to be looked up, a package mirror for instance."""
    pooled: int = 2
    """How many desktops of each template in use to keep booted for the next create; 0 for none."""
    quota: Quota = Quota()
    """What each owner may have whose key names nothing else."""
    idle_s: float = 1800.0
    """How long a desktop may be unused before it is suspended, see operations/idle.py; 0: ever."""
    grace_s: float = 3.0
    """How long open requests may go on once the server was told to stop."""
    packages_dir: Path | None = None
    """Where the packages of templates are kept; None is the user's cache, shared by servers."""
