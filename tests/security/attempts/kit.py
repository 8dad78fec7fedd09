"""What attempts are written with. An outcome is an errno's name, or what the attack got."""

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

LIBC = ctypes.CDLL(None, use_errno=True)
BUFFER = ctypes.create_string_buffer(4096)
DEADLINE_S = 4

PLACE = json.loads(os.environ.get("ATTEMPT_PLACE", "{}"))
"""What the host planted for attacks to find: paths, ports, names, pids."""


class Attempt(NamedTuple):
    """One row. ``stopped`` are the outcomes that mean the wall held."""

    name: str
    attack: Callable[[], Any]
    stopped: str
    twin: Callable[[], Any]
    canary: str


def call(number: int, *arguments: Any) -> str:
    """Make a raw system call; pointers and numbers are passed at full width."""
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return "succeeded"


def clone(flags: int) -> str:
    """Call clone(2) as fork would, with more flags; the child ends at once."""
    pid = LIBC.syscall(ctypes.c_long(56), ctypes.c_long(flags | 17), 0, 0, 0, 0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "")
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "cloned"


def read(path: str) -> str:
    with open(path, "rb") as file:
        return f"read {min(len(file.read(200)), 1)}"


def write(path: str, data: bytes = b"x", flags: int = 0) -> str:
    fd = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    return "written"


def entries(path: str) -> str:
    return "entries" if os.listdir(path) else "empty"


def exists(path: str) -> str:
    os.lstat(path)
    return "exists"


def writable_mount(path: str) -> str:
    return "read-only" if os.statvfs(path).f_flag & os.ST_RDONLY else "writable"


def connect(family: int, address: Any, kind: int = socket.SOCK_STREAM) -> str:
    with socket.socket(family, kind) as end:
        end.settimeout(2)
        end.connect(address)
    return "connected"


def opened(*arguments: int) -> str:
    socket.socket(*arguments).close()
    return "opened"


def scratch(name: str = "own", data: bytes = b"x") -> str:
    """Make a file of our own and return its path."""
    path = f"/tmp/{name}-{os.getpid()}"
    with open(path, "wb") as file:
        file.write(data)
    return path


def status_field(name: str) -> str:
    with open("/proc/self/status") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key == name:
                return value.strip()
    return "absent"


def outcome(function: Callable[[], Any]) -> str:
    """Run one function in a session of its own, so that whatever it does ends with it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(reader)
        try:
            text = str(function())
        except OSError as error:
            text = errno.errorcode.get(error.errno or 0, str(error))
        except BaseException as error:
            text = f"{type(error).__name__} {error}"
        os.write(writer, text.encode()[:500])
        os._exit(0)
    os.close(writer)
    heard, _, _ = select.select([reader], [], [], DEADLINE_S)
    text = os.read(reader, 500).decode() if heard else "nothing in time"
    os.close(reader)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not text and os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return text


def holds(attempt: Attempt, found: str) -> bool:
    return found in attempt.stopped.split("|")
