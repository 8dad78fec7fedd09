"""Who may use the server: API keys, the owners they stand for, and what each owner may have.

The launched default is one key, of the owner ``default``. Further ones are added by the command
line while the server runs; the file holds their digests, so a key is shown once and never again.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sentient_desktop.errors import ApiError, LaunchError
from sentient_desktop.settings import Limits, Quota

DEFAULT_OWNER = "default"
KEYS_FILE = "keys.json"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Owner:
    """Whoever shows one of the keys."""

    name: str
    quota: Quota


def require_quota(owner: str, quota: Quota, desktops: int, limits: Limits) -> None:
    """Demand that an owner may have so many desktops, each bounded by ``limits``.

    Raises:
        ApiError: 429, not to be retried: time does not free what is asked for.
    """
    memory, cpus = desktops * limits.memory_bytes, desktops * limits.cpus
    for name, wanted, bound in (
        ("desktops", f"{desktops}", quota.desktops and desktops > quota.desktops),
        ("cpus", f"{cpus:g}", quota.cpus and cpus > quota.cpus),
        ("memory_bytes", f"{memory}", quota.memory_bytes and memory > quota.memory_bytes),
    ):
        if bound:
            raise _over(owner, name, wanted, getattr(quota, name))


def require_snapshot_quota(owner: str, quota: Quota, used_bytes: int) -> None:
    """Demand that an owner's snapshots do not fill its quota yet.

    Raises:
        ApiError: 429.
    """
    if quota.snapshot_bytes and used_bytes >= quota.snapshot_bytes:
        raise _over(owner, "snapshot_bytes", f"{used_bytes}", quota.snapshot_bytes)


def _over(owner: str, name: str, wanted: str, bound: float) -> ApiError:
    what = "snapshots" if name == "snapshot_bytes" else "desktops"
    text = f"quota {name} of owner '{owner}' is {bound:g}, and this would take {wanted}: "
    return ApiError(429, text + f"delete some of its {what}, or raise it", retryable=False)


class Owners:
    """The keys of one data folder; notices when the file changes."""

    def __init__(self, data_dir: Path, api_key: str, quota: Quota) -> None:
        self._path = data_dir / KEYS_FILE
        self._default = quota
        self._first = {_digest(api_key): Owner(DEFAULT_OWNER, quota)}
        self._known = self._first
        self._read_at = 0

    def find(self, api_key: str) -> Owner | None:
        """Return whose key this is. Costs a stat of the file."""
        self._refresh()
        return self._known.get(_digest(api_key))

    def quota_of(self, name: str) -> Quota:
        """Return what an owner may have; one whose key was removed has the default."""
        self._refresh()
        found = (owner.quota for owner in self._known.values() if owner.name == name)
        return next(found, self._default)

    def _refresh(self) -> None:
        try:
            changed_at = self._path.stat().st_mtime_ns
        except OSError:
            changed_at = 0
        if changed_at != self._read_at:
            self._read_at = changed_at
            self._known = self._first | {
                row["digest"]: Owner(name, self._quota(row))
                for name, row in read_keys(self._path).items()
            }

    def _quota(self, row: dict[str, Any]) -> Quota:
        given = row.get("quota") or {}
        return Quota(**{**asdict(self._default), **given})


def _digest(api_key: str) -> str:
    # A plain hash is enough: keys are 160 random bits, nobody guesses them.
    return hashlib.sha256(api_key.encode(errors="surrogateescape")).hexdigest()


def read_keys(path: Path) -> dict[str, dict[str, Any]]:
    """Return {owner: {digest, quota}}; {} when there is no file.

    Raises:
        LaunchError: the file is not what add_key() writes.
    """
    try:
        rows = json.loads(path.read_text())
        return {str(name): {"digest": str(row["digest"]), **row} for name, row in rows.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LaunchError(f"{path} is damaged: {error!r}; repair or remove it") from error


def add_key(data_dir: Path, name: str, quota: dict[str, float]) -> str:
    """Add an owner and return its new key; ``quota`` holds the bounds that differ from the default.

    Raises:
        LaunchError: the name is taken or malformed.
    """
    if not _NAME.fullmatch(name) or name == DEFAULT_OWNER:
        text = "1 to 40 of a-z, 0-9, _ and -, and not 'default'"
        raise LaunchError(f"'{name}' cannot be an owner's name: {text}")
    api_key = f"e2b_{secrets.token_hex(20)}"
    with _changing(data_dir) as rows:
        if name in rows:
            raise LaunchError(f"owner '{name}' has a key already; remove it first")
        rows[name] = {"digest": _digest(api_key), "quota": quota}
    return api_key


def remove_key(data_dir: Path, name: str) -> None:
    """Take an owner's key away; its desktops stay until their time is up.

    Raises:
        LaunchError: there is no such owner.
    """
    with _changing(data_dir) as rows:
        if rows.pop(name, None) is None:
            raise LaunchError(f"there is no key of an owner '{name}'")


@contextmanager
def _changing(data_dir: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Read the keys and replace the file with what became of them, one process at a time."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, draft = data_dir / KEYS_FILE, data_dir / f"{KEYS_FILE}.{os.getpid()}"
    lock = os.open(data_dir / "keys.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = read_keys(path)
        yield rows
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(rows, file)
        draft.replace(path)
    finally:
        os.close(lock)
