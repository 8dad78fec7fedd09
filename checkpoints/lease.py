"""One run a thread: a lock that dies with its process, and a token that outlives it.

The lock is an open-file-description lock: two runs in one process exclude each other like two
processes do, asking whether it is held disturbs nobody, and the kernel frees it on any death.
Beside it a record names the holder. Its number grows with every lease, so that `token` (boot id,
record id, number) is never given twice; what was done under an older token can be told from what
the holder did itself.
"""

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import secrets
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any

Record = dict[str, Any]

_held: ContextVar[Mapping[Path, "Lease"]] = ContextVar("held leases", default=MappingProxyType({}))


class ThreadBusyError(Exception):
    """THREAD_BUSY: something else runs this thread, or has taken it over."""


class Lease:
    """The only right on this machine to run a thread, until `release` or the process's end."""

    def __init__(self, path: Path, thread: str, token: str, descriptor: int | None) -> None:
        self.path, self.thread = path, thread
        self.token = token
        """Names this lease in letters, digits, `-` and `_`: boot, record and number."""
        self.kept: dict[str, Any] = {}
        """What a run keeps from node to node; it is of no use without the lease."""
        self._descriptor = descriptor
        self._in_use = False

    @classmethod
    def alone(cls, name: str) -> "Lease":
        """A lease for a run without a thread, which nobody else can run or resume."""
        return cls(Path(), name, secrets.token_hex(16), None)

    @property
    def is_held(self) -> bool:
        """Whether it was not released yet."""
        return self._descriptor is not None

    def is_successor_of(self, token: str) -> bool:
        """Whether whoever held `token` is proven dead: it held this very lock before us."""
        ours, _, our_number = self.token.rpartition("_")
        theirs, _, number = token.rpartition("_")
        return ours == theirs and number.isdecimal() and int(number) < int(our_number)

    def release(self) -> None:
        """Let others have the thread; releasing twice is no error."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            _set_lock(descriptor, fcntl.F_UNLCK)  # closing leaves it to a forked process
            os.close(descriptor)

    def discard(self) -> None:
        """Give the lease of a thread that is no more back, and leave no files of it."""
        if self._descriptor is not None:
            self.path.with_suffix(".json").unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)  # last: from here on others can take it
            self.release()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Use the right for one run; tasks that inherit it cannot run the thread side by side.

        Raises:
            ThreadBusyError: a run is using it.
        """
        if self._in_use:
            raise _busy(self.thread, os.getpid())
        self._in_use = True
        try:
            yield
        finally:
            self._in_use = False


def take_lease(folder: Path, thread: str) -> Lease:
    """Take the lease of a thread; `release` has to be called. Blocks for file calls only.

    Raises:
        ThreadBusyError: another run holds it; the pid of its process is in the message.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = _path(folder, thread)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, path, thread)
            if _is_at(path, descriptor):
                record = _next_record(path, thread)
                token = f"{record['boot']}_{record['record']}_{record['number']}"
                return Lease(path, thread, token, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # discarded between our opening and locking it


def held_lease(folder: Path, thread: str) -> Lease | None:
    """The lease that this context holds: its own, or that of whoever started it."""
    lease = _held.get().get(_path(folder, thread))
    return lease if lease is not None and lease.is_held else None


@contextmanager
def thread_lease(folder: Path, thread: str) -> Iterator[Lease]:
    """Hold the lease of a thread, the one that this context holds already if there is one.

    Raises:
        ThreadBusyError: another run holds it.
    """
    if held := held_lease(folder, thread):
        yield held
        return
    lease = take_lease(folder, thread)
    try:
        with holding(lease):
            yield lease
    finally:
        lease.release()


@asynccontextmanager
async def lease_for_run(folder: Path, thread: str) -> AsyncIterator[Lease]:
    """Hold the lease of a thread for one run, without blocking the event loop.

    Raises:
        ThreadBusyError: another run holds it, or a run of this context is using it.
    """
    held = held_lease(folder, thread)
    lease = held or await _taken(folder, thread)
    try:
        with lease.in_use():
            yield lease
    finally:
        if lease is not held:
            lease.release()


@contextmanager
def holding(lease: Lease) -> Iterator[None]:
    """Let this context, and the tasks started in it, find the lease by `held_lease`."""
    mark = _held.set({**_held.get(), lease.path: lease})
    try:
        yield
    finally:
        _held.reset(mark)


def is_leased(folder: Path, thread: str) -> bool:
    """Whether a live process holds the thread right now; asking keeps nobody from taking it."""
    try:
        descriptor = os.open(_path(folder, thread), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _lock_of(fcntl.F_WRLCK))
        return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


def recorded_threads(folder: Path) -> list[str]:
    """Every thread that had a lease once which was not discarded. Blocking."""
    records = (_read_record(path) for path in folder.glob("*.json"))
    return sorted(str(record["thread"]) for record in records if "thread" in record)


_FLOCK = "hhqqi4x"
"""`struct flock` of 64-bit Linux: type, whence, start, length, pid."""


def _lock_of(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0)


def _set_lock(descriptor: int, kind: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _lock_of(kind))


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether a file that is open is still the one that others open at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, path: Path, thread: str) -> None:
    try:
        _set_lock(descriptor, fcntl.F_WRLCK)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        raise _busy(thread, _read_record(path).get("pid", "unknown")) from error


def _busy(thread: str, pid: int | str) -> ThreadBusyError:
    return ThreadBusyError(f"THREAD_BUSY: thread {thread} is being run by process {pid}")


def _path(folder: Path, thread: str) -> Path:
    return folder / f"{hashlib.sha256(thread.encode()).hexdigest()[:32]}.lock"


async def _taken(folder: Path, thread: str) -> Lease:
    """Take a lease in a worker thread; one that comes after a cancellation is given back."""
    taking = asyncio.ensure_future(asyncio.to_thread(take_lease, folder, thread))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(_give_back)
        raise


def _give_back(taking: "asyncio.Future[Lease]") -> None:
    if not taking.cancelled() and taking.exception() is None:
        taking.result().release()


def _next_record(path: Path, thread: str) -> Record:
    """Write who holds the lease, whole or not at all; called with the lock held."""
    last = _read_record(path)
    record: Record = {
        "thread": thread,
        "pid": os.getpid(),
        "started": Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19],
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "record": last.get("record") or secrets.token_hex(4),
        "number": int(last.get("number", 0)) + 1,
    }
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(record))
    fresh.replace(path.with_suffix(".json"))
    return record


def _read_record(path: Path) -> Record:
    """The record beside a lock; what power loss left of one counts as none."""
    try:
        return dict(json.loads(path.with_suffix(".json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return {}
