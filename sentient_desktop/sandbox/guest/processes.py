"""Commands inside the desktop: starting them, their terminals, signals, and burying the dead."""

# pathlib and contextlib would cost more start-up time than everything here together.

import _ctypes  # ctypes without its Python half
import _signal  # type: ignore[import-not-found]  # signal without its enums
import _thread
import os
import resource
import select
import sys

from sentient_desktop.sandbox.guest.files import resolve
from sentient_desktop.sandbox.guest.wire import CHUNK, Channel, Refused, Reply, Request

MARK = "SENTIENT_COMMAND"
"""Environment variable that ties a process to its command, wherever it moved in the tree."""

TIOCSWINSZ = 0x5414
KILL_ROUNDS = 20
DRAIN_LIMIT = 1024
"""Well below the agent's bound on descriptors, which file work and commands need too."""

_libc = _ctypes.dlopen("libc.so.6", 2)


def call_libc(name: str, *arguments: int | bytes) -> int:
    """Call a C function that the standard library offers only through slow imports."""
    return int(_ctypes.call_function(_ctypes.dlsym(_libc, name), arguments))


def _find_program(name: str, env: dict[str, str]) -> str:
    if "/" in name:
        return name
    for folder in env.get("PATH", "/usr/bin:/bin").split(":"):
        path = os.path.join(folder or ".", name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise Refused("ENOENT", f"{name}: command not found")


def _window_size(size: dict[str, int]) -> bytes:
    numbers = (size.get("rows") or 24, size.get("cols") or 80, 0, 0)
    return b"".join([(number & 0xFFFF).to_bytes(2, sys.byteorder) for number in numbers])


class Terminal:
    """A pseudo-terminal whose master side is relayed to one socket of the host's."""

    def __init__(self, size: dict[str, int]) -> None:
        window = _window_size(size)
        self.master, self.slave = os.openpty()
        call_libc("ioctl", self.master, TIOCSWINSZ, window)

    def resize(self, size: dict[str, int]) -> None:
        """Set rows and columns."""
        call_libc("ioctl", self.master, TIOCSWINSZ, _window_size(size))

    def stdio(self) -> list[tuple[object, ...]]:
        """Return spawn actions; opening as session leader makes it the controlling terminal."""
        opened: tuple[object, ...] = (
            os.POSIX_SPAWN_OPEN, 0, os.ttyname(self.slave), os.O_RDWR, 0
        )  # fmt: skip
        return [opened, *((os.POSIX_SPAWN_DUP2, 0, number) for number in (1, 2))]

    def relay(self, host: int) -> None:
        """Carry bytes both ways until the last process closes the terminal; owns both ends."""
        poller = select.poll()
        poller.register(self.master, select.POLLIN)
        poller.register(host, select.POLLIN)
        try:
            while True:
                for fd, _ in poller.poll():
                    data = os.read(fd, 65536)
                    if not data and fd == host:
                        poller.unregister(host)  # the host stopped typing; keep showing
                    while data:
                        data = data[os.write(host if fd == self.master else self.master, data) :]
        except OSError:
            pass  # EIO: nobody has the terminal open any more, or the host went away
        finally:
            os.close(host)
            os.close(self.master)
            self.master = -1


class Drain:
    """One thread that empties the output pipes ended commands left to their daemons."""

    def __init__(self) -> None:
        self._poller = select.epoll()
        self._open: set[int] = set()
        self._started = False

    def add(self, fds: list[int]) -> None:
        """Take copies of pipes; beyond the bound they are refused, and so closed for writers."""
        if len(self._open) + len(fds) > DRAIN_LIMIT:
            raise Refused("EMFILE", f"{DRAIN_LIMIT} pipes of ended commands are open already")
        if not self._started:
            try:
                _thread.start_new_thread(self._run, ())
            except RuntimeError:
                raise Refused("EAGAIN", "the process table is full") from None
            self._started = True
        for fd in fds:
            copy = os.dup(fd)
            os.set_blocking(copy, False)
            self._open.add(copy)
            self._poller.register(copy, select.EPOLLIN)

    def _run(self) -> None:
        while True:
            for fd, _ in self._poller.poll():
                try:
                    if os.read(fd, CHUNK):
                        continue
                except BlockingIOError:
                    continue
                except OSError:
                    pass
                self._open.discard(fd)
                self._poller.unregister(fd)  # by name: the host may still hold the same pipe end
                os.close(fd)


class Processes:
    """The commands of this desktop, seen from pid 1."""

    def __init__(self, channel: Channel, process_limit: int) -> None:
        self._channel = channel
        self._limit = process_limit
        self._terminals: dict[int, Terminal] = {}
        self._drain = Drain()

    def _spawn(self, request: Request, files: list[tuple[object, ...]]) -> int:
        argv, env = request["argv"], request["env"]
        env[MARK] = request["mark"]
        cwd = resolve(request["cwd"])
        try:
            os.chdir(cwd)
        except OSError:
            raise Refused("ENOTDIR", f"cwd '{cwd}' does not exist") from None
        try:
            pid = os.posix_spawn(
                _find_program(argv[0], env),
                argv,
                env,
                file_actions=files,
                setsid=True,
                setsigmask=[],
                setsigdef=[_signal.SIGPIPE, _signal.SIGINT, _signal.SIGXFSZ],
            )
        finally:
            os.chdir("/")
        try:
            # A few processes fewer than the agent's own bound, so it can act in a full desktop.
            resource.prlimit(pid, resource.RLIMIT_NPROC, (self._limit, self._limit))
        except (PermissionError, ProcessLookupError):
            pass  # it has ended already, or made itself undumpable; the agent's bound still holds
        try:
            with open(f"/proc/{pid}/oom_score_adj", "w") as file:
                file.write("1000")  # when memory runs out, a command goes before its agent
        except OSError:
            pass  # it has ended already, or made itself undumpable
        return pid

    def do_spawn(self, request: Request) -> Reply:
        """Start a command in a session of its own, on the given descriptors or a terminal."""
        if request["pty"] is None:
            files = [(os.POSIX_SPAWN_DUP2, fd, n) for n, fd in enumerate(request["fds"])]
            return {"pid": self._spawn(request, list(files))}
        terminal = Terminal(request["pty"])
        try:
            pid = self._spawn(request, terminal.stdio())
        except BaseException:
            os.close(terminal.master)
            raise
        finally:
            os.close(terminal.slave)
        self._terminals[pid] = terminal
        host = os.dup(request["fds"][0])
        try:
            _thread.start_new_thread(terminal.relay, (host,))
        except RuntimeError:
            os.close(host)
            os.close(terminal.master)
            terminal.master = -1
            os.kill(pid, _signal.SIGKILL)
            raise Refused("EAGAIN", "the process table is full") from None
        return {"pid": pid}

    def do_drain(self, request: Request) -> Reply:
        """Read and drop what daemons of ended commands write, until they end too."""
        self._drain.add(request["fds"])
        return {}

    def do_resize(self, request: Request) -> Reply:
        """Resize a command's terminal."""
        terminal = self._terminals.get(request["pid"])
        if terminal is None or terminal.master < 0:
            raise Refused("ENOTTY", f"process {request['pid']} has no terminal")
        terminal.resize(request["pty"])
        return {}

    def do_signal(self, request: Request) -> Reply:
        """Signal a command's process group."""
        os.killpg(request["pid"], request["signal"])
        return {}

    def do_kill_tree(self, request: Request) -> Reply:
        """SIGKILL a command with all descendants, including daemons that left its session.

        A daemon is recognised by the mark in its environment. Repeats until a look finds nobody.
        """
        mark = f"{MARK}={request['mark']}".encode()
        for _ in range(KILL_ROUNDS):
            doomed = _family(request["pid"], mark)
            if not doomed:
                break
            for pid in doomed:
                try:
                    os.kill(pid, _signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.reap()
        return {}

    def reap(self) -> None:
        """Collect every dead child and report it; the host knows which were commands."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._terminals.pop(pid, None)
            self._channel.send({"exit": pid, "status": os.waitstatus_to_exitcode(status)})


def _family(root: int, mark: bytes) -> set[int]:
    """Return a command, its descendants and its marked daemons, zombies left out."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            fields = _read(f"/proc/{name}/stat").rpartition(b")")[2].split()
            if fields and fields[0] != b"Z":
                parents[int(name)] = int(fields[1])
    family = {root} & parents.keys()
    family |= {pid for pid in parents if mark in _read(f"/proc/{pid}/environ").split(b"\0")}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
