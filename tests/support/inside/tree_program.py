"""What the state machine runs inside a desktop: changes to one folder, and its description.

    python tree_program.py ROOT PORT

Answers POST requests on PORT. The body is a JSON list of changes, each ``[name, path, ...]``; the
answer has the tree before them, for each change whether it succeeded, and the tree after them.
A program that lives through pauses and snapshots can keep files open and mapped meanwhile.
"""

import errno
import json
import mmap
import os
import socket
import stat
import sys
import zlib

NOFOLLOW = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
held: dict = {}


def opened(path, flags):
    fd = os.open(path, flags | NOFOLLOW, 0o644)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file")
    return fd


def put(path, data, flags=0, offset=None):
    fd = opened(path, os.O_WRONLY | flags)
    try:
        if offset is None:
            os.write(fd, data)
        else:
            os.pwrite(fd, data, offset)
    finally:
        os.close(fd)


def write(path, text):
    put(path, text.encode(), os.O_CREAT | os.O_TRUNC)


def append(path, text):
    put(path, text.encode(), os.O_APPEND)


def sparse(path, offset, text):
    put(path, text.encode(), os.O_CREAT, offset)


def truncate(path, size):
    fd = opened(path, os.O_WRONLY)
    try:
        os.ftruncate(fd, size)
    finally:
        os.close(fd)


def poke(path, offset, text):
    """Change bytes in place and set the time of the last change back: only ctime tells."""
    fd = opened(path, os.O_WRONLY)
    try:
        status = os.fstat(fd)
        os.pwrite(fd, text.encode()[: max(0, status.st_size - offset)], offset)
        os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
    finally:
        os.close(fd)


def hold(path):
    """Keep a file open, and mapped if it has content."""
    fd = opened(path, os.O_RDWR)
    size = os.fstat(fd).st_size
    release()
    held.update(fd=fd, size=size, map=mmap.mmap(fd, size) if size else None)


def release(*_):
    if held:
        if held["map"]:
            held["map"].close()
        os.close(held["fd"])
        held.clear()


def held_write(_path, offset, text):
    if not held:
        raise OSError(errno.EBADF, "nothing is held")
    os.pwrite(held["fd"], text.encode(), offset)


def held_map(_path, offset, text):
    if not held or not held["map"]:
        raise OSError(errno.EBADF, "nothing is mapped")
    end = offset + len(text.encode())
    if end > min(held["size"], os.fstat(held["fd"]).st_size):
        raise OSError(errno.EFAULT, "beyond the end")
    held["map"][offset:end] = text.encode()


def rename(path, target):
    """Rename; where the kernel refuses to move a folder between layers, copy it as mv does.

    Unlike mv, the copy joins no names: whether a layer below still joins them is up to the kernel.
    """
    try:
        os.rename(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if os.path.lexists(target):
            os.rmdir(target)
        copy = ["cp", "-a", "--no-preserve=links", "-T", "--", path, target]
        import subprocess

        subprocess.run(copy, check=True)
        rmtree(path)
        return "copied"
    return "renamed"


def rmtree(path):
    for name in os.listdir(path):
        inner = os.path.join(path, name)
        if os.path.isdir(inner) and not os.path.islink(inner):
            rmtree(inner)
        else:
            os.unlink(inner)
    os.rmdir(path)


def chmod(path, mode):
    if os.path.islink(path):
        raise OSError(errno.ELOOP, "a link has no mode")
    os.chmod(path, mode)


def utime(path, time):
    os.utime(path, ns=(time, time), follow_symlinks=False)


def setxattr(path, name, value):
    os.setxattr(path, name, value.encode(), follow_symlinks=False)


def removexattr(path, name):
    os.removexattr(path, name, follow_symlinks=False)


CHANGES = {
    "write": write, "append": append, "sparse": sparse, "truncate": truncate, "poke": poke,
    "hold": hold, "release": release, "held_write": held_write, "held_map": held_map,
    "rename": rename, "rmtree": rmtree, "chmod": chmod, "utime": utime,
    "setxattr": setxattr, "removexattr": removexattr,
    "unlink": os.unlink, "rmdir": os.rmdir, "mkdir": lambda path: os.mkdir(path, 0o755),
    "mkfifo": lambda path: os.mkfifo(path, 0o600),
    "symlink": lambda path, target: os.symlink(target, path),
    "link": lambda path, target: os.link(path, target, follow_symlinks=False),
}  # fmt: skip
"""Of each, the first argument is the path it changes."""


def describe(path, found, prefix=""):
    """Add {path: [kind, mode, mtime, attributes, content]} of everything below a folder."""
    for name in sorted(os.listdir(path)):
        inner, key = os.path.join(path, name), prefix + name
        status = os.lstat(inner)
        kind, content = stat.S_IFMT(status.st_mode), None
        if stat.S_ISREG(kind):
            with open(inner, "rb") as file:
                data = file.read()
            content = [len(data), zlib.crc32(data)]
        elif stat.S_ISLNK(kind):
            content = os.readlink(inner)
        names = [] if stat.S_ISLNK(kind) else os.listxattr(inner)
        found[key] = [
            kind,
            0 if stat.S_ISLNK(kind) else stat.S_IMODE(status.st_mode),
            status.st_mtime_ns,
            {name: os.getxattr(inner, name).decode() for name in names},
            content,
        ]
        if stat.S_ISDIR(kind):
            describe(inner, found, key + "/")
    return found


def change(name, path, *rest):
    try:
        return CHANGES[name](path, *rest) or "done"
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def answer(changes):
    reply = {"before": describe(".", {})}
    if changes:
        reply["results"] = [change(*item) for item in changes]
        reply["after"] = describe(".", {})
    return json.dumps(reply).encode()


def serve(port):
    server = socket.create_server(("127.0.0.1", port))
    while True:
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as stream:
            size = 0
            while line := stream.readline().strip().lower():
                if line.startswith(b"content-length:"):
                    size = int(line.partition(b":")[2])
            body = answer(json.loads(stream.read(size)))
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            stream.write(head.encode() + body)


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    os.chdir(sys.argv[1])
    serve(int(sys.argv[2]))
