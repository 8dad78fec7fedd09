"""What an operator may choose about the server, and the limits every desktop lives under."""

from dataclasses import dataclass
from pathlib import Path

ENVD_VERSION = "0.6.13"
"""The envd whose wire behaviour this server follows; SDKs gate features on it."""

ENVD_PORT = 49983
INTERPRETER_PORT = 49999

FRAME_LIMIT_BYTES = 16 << 20
"""Largest single message accepted from a client or from an agent."""

DEFAULT_TIMEOUT_S = 300
MAX_TIMEOUT_S = 30 * 24 * 3600


@dataclass(frozen=True)
class Limits:
    """Bounds on one desktop; all are enforced by the kernel, none by the guest."""

    processes: int = 512
    """RLIMIT_NPROC, counted inside the desktop's own user namespace (threads included)."""
    open_files: int = 4096
    """RLIMIT_NOFILE of every process."""
    file_bytes: int = 8 << 30
    """RLIMIT_FSIZE: the largest single file."""
    shm_bytes: int = 256 << 20
    """Size of /dev/shm and of /run, which live in memory."""


@dataclass(frozen=True)
class Settings:
    """One server: where it listens and the only folder it ever writes to."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    """0 picks a free port, the one of the previous run first."""
    limits: Limits = Limits()
