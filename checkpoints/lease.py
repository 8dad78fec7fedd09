"""One run a thread: a lock that dies with its process."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ThreadBusyError(Exception):
    """THREAD_BUSY: another process is running this thread."""


@contextmanager
def thread_lease(folder: Path, thread_id: str) -> Iterator[None]:
    """Hold the only right on this machine to run a thread; the kernel frees it on any death.

    Raises:
        ThreadBusyError: another live process holds it; its pid is in the message.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{hashlib.sha256(thread_id.encode()).hexdigest()[:32]}.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise ThreadBusyError(
                f"THREAD_BUSY: thread {thread_id} is being run by process {_owner(lock.read())}"
            ) from error
        lock.truncate(0)
        lock.write(json.dumps({"thread": thread_id, "pid": os.getpid()}))
        lock.flush()
        yield


def is_leased(folder: Path, thread_id: str) -> bool:
    """Whether a live process holds the thread right now."""
    try:
        with thread_lease(folder, thread_id):
            return False
    except ThreadBusyError:
        return True


def _owner(text: str) -> str:
    try:
        return str(json.loads(text)["pid"])
    except (ValueError, KeyError):
        return "unknown"
