"""The process that starts jails: small, single-threaded, and parent of every bubblewrap.

Runs as a script of the server's own interpreter, standard library only. It exists for three
reasons. Forking the server itself would be slow and unsafe (threads). Bubblewrap dies with its
parent *thread*, so that parent must be one that lives exactly as long as the server does. And when
the server is root, each jail starts under an unprivileged uid that can neither read the data
folder nor traverse to the interpreter: here, still root, the needed folders are mounted under
short neutral names in a private mount namespace before the privileges go for good. Layers are
mounted so that they seem to belong to the desktop that stands on them: each desktop has a uid of
its own, whoever wrote the layer.

Requests: one JSON message per SOCK_SEQPACKET packet, with four descriptors attached (control
socket, filter, info pipe, log). Replies: ``{"pid", "number"}``, the number of the request; later
``{"exit": pid}``.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import stat
import struct
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

STAGE = "/tmp"  # noqa: S108 - covered by a tmpfs in a private mount namespace, nothing is shared
CONTROL_FD, SECCOMP_FD, INFO_FD = 3, 4, 5
PACKET_BYTES = 1 << 17

_PR_SET_PDEATHSIG = 1
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_BIND, _MS_PRIVATE, _MS_REC = 0x1000, 1 << 18, 0x4000

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""Call numbers, the same on every architecture."""
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH, _AT_EMPTY_PATH = 1, 0x04, 0x1000
_MOUNT_ATTR_IDMAP = 0x00100000

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind and kind.encode(), flags, options.encode() or None
    )
    _checked(result, f"mount {target}")


def _make_mapping(owner: int, uid: int) -> int:
    """Return a user namespace, as a descriptor, in which files of ``owner`` belong to ``uid``."""
    ready, ready_writer = os.pipe()
    done, done_writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(done_writer)
        os.write(ready_writer, b"n" if _libc.unshare(_CLONE_NEWUSER) else b"y")
        os.read(done, 1)  # its end: the parent has the namespace, or died
        os._exit(0)
    try:
        os.close(ready_writer)
        if os.read(ready, 1) != b"y":
            raise OSError("unshare(CLONE_NEWUSER) for an idmapped mount was refused")
        for kind in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{kind}", "w") as file:  # noqa: PTH123 - start-up time
                file.write(f"{owner} {uid} 1")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for fd in (ready, done, done_writer):
            os.close(fd)
        os.waitpid(pid, 0)


def _bind_mapped(source: int, target: str, mapping: int) -> None:
    """Mount the folder open as ``source`` at ``target``, its owners seen through ``mapping``.

    Source: open_tree(2), mount_setattr(2), move_mount(2); overlayfs takes such lowers since 5.19.
    """
    path = f"/proc/self/fd/{source}".encode()
    tree = _checked(
        _libc.syscall(_OPEN_TREE, -100, path, _OPEN_TREE_CLONE | os.O_CLOEXEC), "open_tree"
    )
    try:
        attributes = struct.pack("=4Q", _MOUNT_ATTR_IDMAP, 0, 0, mapping)
        size = ctypes.c_size_t(len(attributes))
        result = _libc.syscall(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, size)
        _checked(result, "an idmapped mount (kernel 5.19 and a filesystem that has them)")
        moved = _libc.syscall(
            _MOVE_MOUNT, tree, b"", -100, target.encode(), _MOVE_MOUNT_F_EMPTY_PATH
        )
        _checked(moved, "move_mount")
    finally:
        os.close(tree)


def stage(folders: Sequence[tuple[str, str, int | None]]) -> None:
    """Show each (name, host path) at STAGE/name, in a mount namespace of this process alone.

    With a uid, a folder that belongs to another desktop's is shown as that uid's; what belongs to
    root stays root's. Paths are opened before STAGE is covered: they may themselves lie below it.
    """
    _checked(_libc.unshare(_CLONE_NEWNS), "unshare(CLONE_NEWNS)")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    opened = [(name, os.open(path, os.O_PATH | os.O_CLOEXEC), uid) for name, path, uid in folders]
    mappings: dict[int, int] = {}
    _mount("tmpfs", STAGE, "tmpfs", 0, "mode=755,size=1m")
    for name, fd, uid in opened:
        target = f"{STAGE}/{name}"
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(target)  # noqa: PTH102
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        owner = status.st_uid
        if uid is None or owner in {0, uid}:
            _mount(f"/proc/self/fd/{fd}", target, None, _MS_BIND)
            continue
        if owner not in mappings:
            mappings[owner] = _make_mapping(owner, uid)
        _bind_mapped(fd, target, mappings[owner])


def _lay_routes(messages: Sequence[str]) -> None:
    """Send netlink requests inside the namespaces open as descriptors 3 (network) and 4 (user).

    In a child, because there is no way back from a user namespace. Source: netlink(7).
    """
    pid = os.fork()
    if pid == 0:
        try:
            _checked(_libc.setns(4, 0), "setns(user namespace)")
            _checked(_libc.setns(3, 0), "setns(network namespace)")
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
                for message in messages:
                    netlink.send(bytes.fromhex(message))
                    number = -struct.unpack_from("=IHHIIi", netlink.recv(4096))[5]
                    ctypes.set_errno(number)
                    _checked(-1 if number else 0, "a route")
            os._exit(0)
        except OSError as error:
            os.write(2, f"spawner: {error}\n".encode())
        os._exit(1)
    if os.waitpid(pid, 0)[1]:
        os._exit(127)


def _mind(argv: list[str]) -> NoReturn:
    """Run a program and end with it, and end it with us or with the spawner.

    Its own parent-death signal would not do: gaining rights in a user namespace clears it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    pid = os.fork()
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        # Python ignores it, and some versions of pasta take an ignored signal for a failure.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execve(argv[0], argv, {})  # noqa: S606 - as for the jail
    signal.signal(signal.SIGTERM, lambda _number, _frame: os.kill(pid, signal.SIGKILL))
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    if os.getppid() == 1:  # the spawner died before we asked to be told
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os._exit(0)


def _become_jail(request: dict[str, Any], fds: Sequence[int]) -> NoReturn:
    """Turn this forked child into bubblewrap. Never returns; failures go to the log."""
    control, filter_fd, info, log = fds
    os.dup2(log, 2)
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for path in request["groups"]:
            with open(path, "w") as file:  # noqa: PTH123 - pathlib costs start-up time
                file.write("0")  # ourselves
        if request["stage"]:
            stage(request["stage"])
        null = os.open(os.devnull, os.O_RDWR)
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in (control, filter_fd, info)]
        os.dup2(null, 0)
        os.dup2(null, 1)
        for number, fd in zip((CONTROL_FD, SECCOMP_FD, INFO_FD), high, strict=True):
            os.dup2(fd, number)
        os.closerange(INFO_FD + 1, os.sysconf("SC_OPEN_MAX"))
        os.setsid()
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("500")  # under memory pressure a desktop goes before the host's own work
        if request["uid"] is not None:
            uid = request["uid"]
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        os.chdir("/")
        if request["routes"]:
            _lay_routes(request["routes"])
            _mind(request["argv"])
        os.execve(request["argv"][0], request["argv"], {})  # noqa: S606 - that is the point
    except OSError as error:
        os.write(2, f"spawner: {error}\n".encode())
    os._exit(127)


def _reap(channel: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            channel.send(json.dumps({"exit": found[0]}).encode())


def serve(channel: socket.socket) -> None:
    """Start jails until the server closes its end."""
    wake, wake_writer = socket.socketpair()
    wake.setblocking(False)
    wake_writer.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(wake_writer.fileno())
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    poller.register(wake, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == wake.fileno():
                wake.recv(4096)
                _reap(channel)
                continue
            data, fds, _, _ = socket.recv_fds(channel, PACKET_BYTES, 4)
            if not data:
                return
            request = json.loads(data)
            pid = os.fork()
            if pid == 0:
                _become_jail(request, fds)
            for received in fds:
                os.close(received)
            channel.send(json.dumps({"pid": pid, "number": request["number"]}).encode())


def main() -> None:
    """Serve the inherited descriptor; die when the server does."""
    fd, parent = int(sys.argv[1]), int(sys.argv[2])
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the server died before the line above
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(socket.socket(fileno=fd))


if __name__ == "__main__":
    main()
