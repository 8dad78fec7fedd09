"""Finding or starting the server of a data folder, from any process, at any time."""

import fcntl
import http.client
import json
import os
import signal
import sys
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentient_desktop.errors import LaunchError
from sentient_desktop.state import read_start_time, read_state

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Endpoint:
    """Where a server is: pass both to the E2B SDK (url as api_url and as sandbox_url)."""

    url: str
    api_key: str


def find_server(data_dir: Path) -> tuple[Endpoint, int] | None:
    """Return the healthy server of a data folder with its pid, or None. Starts nothing."""
    state = read_state(data_dir)
    pid = state.get("pid")
    if not isinstance(pid, int) or read_start_time(pid) != state.get("start_time"):
        return None
    endpoint = Endpoint(str(state.get("url")), str(state.get("api_key")))
    return (endpoint, pid) if _is_healthy(endpoint.url, pid) else None


def _is_healthy(url: str, pid: int) -> bool:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", "/health")
        reply = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return isinstance(reply, dict) and reply.get("pid") == pid


@contextmanager
def _launching(data_dir: Path) -> Iterator[None]:
    """Let one process at a time decide whether a server must be started."""
    fd = os.open(data_dir / "launch.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def ensure_server(data_dir: Path, options: Sequence[str] = ()) -> Endpoint:
    """Return the running server of ``data_dir``, starting one in the background if need be.

    Blocks until it is healthy (well under a second, some seconds the very first time). Safe to
    call from many processes at once: there is one server per folder. The server outlives the
    caller; stop it with stop_server(). ``options`` are those of ``serve``, used if it is started.

    Raises:
        LaunchError: it did not become healthy; the text ends with the last line of its log.
    """
    data_dir = data_dir.absolute()
    if found := find_server(data_dir):
        return found[0]
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _launching(data_dir):
        if found := find_server(data_dir):
            return found[0]
        pid = _start(data_dir, options)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if found := find_server(data_dir):
                return found[0]
            if os.waitpid(pid, os.WNOHANG)[0]:
                break
            time.sleep(0.02)
        raise LaunchError(f"the desktop server did not start: {_last_line(data_dir)}")


def _start(data_dir: Path, options: Sequence[str]) -> int:
    """Start the server in a session of its own, with nothing of ours open; return its pid.

    posix_spawn rather than Popen: the server is meant to outlive its parent, and a Popen object
    complains about exactly that.
    """
    log = str(data_dir / "server.log")
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),  # its ready line holds the key
        (os.POSIX_SPAWN_OPEN, 2, log, append, 0o600),
        *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inherited()),
    ]
    # -P keeps the caller's working folder off the server's import path.
    argv = [sys.executable, "-P", "-m", "sentient_desktop", "serve", "--data-dir", str(data_dir)]
    argv += options
    env = os.environ | {"PYTHONPATH": _package_path()}
    return os.posix_spawn(sys.executable, argv, env, file_actions=actions, setsid=True)


def _inherited() -> list[int]:
    """Return the descriptors above stderr that a child would inherit."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if int(entry.name) > 2 and os.get_inheritable(int(entry.name)):
                found.append(int(entry.name))
    return found


def _package_path() -> str:
    """Let the child import this very package even when it runs from a checkout."""
    return str(Path(__file__).parent.parent)


def _last_line(data_dir: Path) -> str:
    lines = (data_dir / "server.log").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote no log"


def stop_server(data_dir: Path) -> bool:
    """Stop the server of ``data_dir`` gracefully; return whether there was one.

    Desktops stay on disk. Raises LaunchError when it does not exit within 15 s.
    """
    state = read_state(data_dir.absolute())
    pid, start = state.get("pid"), state.get("start_time")
    if not isinstance(pid, int) or read_start_time(pid) != start:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while read_start_time(pid) == start:
        if time.monotonic() > deadline:
            raise LaunchError(f"the desktop server (pid {pid}) did not stop in time")
        time.sleep(0.02)
    return True
