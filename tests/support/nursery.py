"""Servers that are killed: forked by a process that has imported everything, so a start is quick.

As a program it is that process: it reads one JSON order a line and forks a server for each. The
kill points are planted here, in the child, around the product's own functions.
"""

import ctypes
import functools
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faulty_server

from sentient_desktop import serve
from sentient_desktop.settings import Settings

ROOT = Path(__file__).parents[2]
START_S = 60.0

WORKING = {
    "row saved": "store.registry:Registry.save",
    "row with a uid saved": "store.registry:Registry.save_with_uid",
    "row deleted": "store.registry:Registry.delete",
    "looked": "store.capture:read_index",
    "delta written": "store.capture:write_delta",
    "captured": "store.capture:Captures.copy",
    "layer copied": "store.layers:LayerStore.copy_in",
    "layer finished": "store.layers:LayerStore.finish",
    "layer flushed": "store.layers:flush",
    "layers swept": "store.layers:LayerStore.keep_only",
    "frozen": "desktop:Desktop._freeze",
    "thawed": "desktop:Desktop._thaw",
    "spawned": "sandbox.boot:Spawner._spawn",
    "booted": "sandbox.boot:Spawner.boot",
    "stopped": "sandbox.boot:RunningJail.stop",
    "grouped": "limits.cgroup:Cgroups.enclose",
    "group released": "limits.cgroup:Cgroups.release",
    "prepared": "fleet:Fleet._prepare",
    "disk removed": "desktop:remove_tree",
    "answered": "operations.gate:_Passage.forward",
}
"""Where a working server may die: before or after each of these."""

RECOVERING = {
    "registry opened": "store.registry:Registry.__init__",
    "swept": "serve:sweep",
    "others removed": "sweep:remove_others",
    "groups swept": "limits.cgroup:Cgroups.sweep",
    "templates there": "serve:ensure_template",
    "probed": "serve:probe_with",
    "probe spawned": "sandbox.boot:Spawner._spawn",
    "probe booted": "sandbox.boot:Spawner.boot",
    "state written": "serve:write_state",
    "state replaced": "pathlib:Path.replace",
}
"""Where a starting one may die."""

POINTS = WORKING | RECOVERING


@dataclass(frozen=True)
class Blow:
    """Where a server kills itself: ``point`` of POINTS, ``before`` or ``after``, the ``nth`` time.

    A point of RECOVERING counts from the start, others once Nursery.arm() was called.
    """

    point: str
    side: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.point}, {self.side}"


def plant(blow: Blow) -> Callable[[], None]:
    """Wrap the function of a point; return what arms it."""
    where = POINTS[blow.point]
    module_name, _, path = where.partition(":")
    package = "" if module_name == "pathlib" else "sentient_desktop."
    holder: Any = importlib.import_module(package + module_name)
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    original, lock = getattr(holder, name), threading.Lock()
    hits, armed = [0], [blow.point in RECOVERING]

    def hit() -> None:
        with lock:
            hits[0] += armed[0]
            if armed[0] and hits[0] == blow.nth:
                os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if blow.side == "before":
            hit()
        result = original(*args, **kwargs)
        if blow.side == "after":
            hit()
        return result

    @functools.wraps(original)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        if blow.side == "before":
            hit()
        result = await original(*args, **kwargs)
        if blow.side == "after":
            hit()
        return result

    setattr(holder, name, awaited if inspect.iscoroutinefunction(original) else wrapped)
    return lambda: armed.__setitem__(0, True)


def _serve(order: dict[str, Any]) -> None:
    """Be a server, with its blow planted. Runs in a forked child."""
    data_dir = Path(order["data_dir"])
    log = os.open(data_dir.parent / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    _die_with_parent()
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 2)
    arm = plant(Blow(**order["blow"])) if order["blow"] else lambda: None

    signal.signal(signal.SIGUSR2, lambda _number, _frame: arm())

    if order["faulty"]:
        faulty_server.plant(data_dir)

    def ready(url: str, key: str) -> None:
        _say({"ready": os.getpid(), "url": url, "api_key": key})

    serve.run_server(Settings(data_dir, pooled=order["pooled"], port=order["port"]), ready)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _main() -> None:
    os.chdir("/")
    _die_with_parent()
    for name in {where.partition(":")[0] for where in POINTS.values()} - {"pathlib"}:
        importlib.import_module(f"sentient_desktop.{name}")
    for name in ("lifespan.on", "protocols.http.h11_impl"):  # what a server imports late
        importlib.import_module(f"uvicorn.{name}")
    _say({"nursery": os.getpid()})
    for line in sys.stdin:
        pid = os.fork()
        if pid:
            _say({"forked": pid})
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            _say({"ended": pid, "code": code})
            continue
        try:
            _serve(json.loads(line))
        finally:
            os._exit(1)


class Nursery:
    """Starts servers one after the other; the next once the last is dead."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert "nursery" in self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the process that forks servers is gone"
        return json.loads(line)  # type: ignore[no-any-return]

    def order(
        self,
        data_dir: Path,
        blow: Blow | None = None,
        *,
        pooled: int = 0,
        port: int = 0,
        faulty: bool = False,
    ) -> None:
        """Have a server started, with the pid ``pid``; wait_ready() or wait_dead() follows."""
        assert self._process.stdin
        order = {"data_dir": str(data_dir), "blow": blow and vars(blow), "pooled": pooled}
        order |= {"port": port, "faulty": faulty}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.pid = int(self._read()["forked"])

    def wait_ready(self) -> dict[str, Any] | None:
        """Return the server's pid (``ready``), url and key; None when it died first."""
        said = self._read()
        return said if "ready" in said else None

    def wait_dead(self) -> int:
        """Wait for the server's end; return its exit code, negative for a signal."""
        while "ended" not in (said := self._read()):
            pass
        return int(said["code"])

    def close(self) -> None:
        """End the process; no server may run any more."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:  # a server runs; it dies with its parent
            self._process.kill()
            self._process.wait()
            raise
        self._process.stdout.close()


if __name__ == "__main__":
    _main()
