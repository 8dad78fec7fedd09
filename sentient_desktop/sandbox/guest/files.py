"""The file API, carried out inside the desktop's own root.

Paths are whatever the client sent: the kernel resolves them in the jail's mount namespace, so no
symbolic link leads anywhere the guest could not go itself.
"""

# pathlib and contextlib would cost more start-up time than everything here together.

import errno
import os
import stat

from sentient_desktop.sandbox.guest.wire import CHUNK, Channel, Refused, Reply, Request

HOME = "/home/user"
METADATA_PREFIX = "user.e2b."

_OWNERS = {0: "root", 1000: "user"}


def resolve(path: str) -> str:
    """Make a client's path absolute the way envd does: relative to the home, ``~`` known."""
    if path == "~" or path.startswith("~/"):
        path = HOME + path[1:]
    return os.path.normpath(os.path.join(HOME, path))


def metadata_of(path: str) -> dict[str, str]:
    """Read a path's user metadata; a filesystem without extended attributes has none."""
    found = {}
    try:
        for name in os.listxattr(path, follow_symlinks=False):
            if name.startswith(METADATA_PREFIX):
                value = os.getxattr(path, name, follow_symlinks=False)
                found[name[len(METADATA_PREFIX) :]] = value.decode()
    except (OSError, UnicodeDecodeError):  # the guest may have written anything itself
        pass
    return found


def write_metadata(fd: int, metadata: dict[str, str]) -> None:
    """Replace a file's user metadata; a filesystem without extended attributes keeps none."""
    try:
        for name in os.listxattr(fd):
            if name.startswith(METADATA_PREFIX) and name[len(METADATA_PREFIX) :] not in metadata:
                os.removexattr(fd, name)
        for name, value in metadata.items():
            os.setxattr(fd, METADATA_PREFIX + name, value.encode())
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def entry_of(path: str) -> Reply:
    """Describe a path itself. ``type`` is the target's for a symbolic link, as envd reports it."""
    status = os.lstat(path)
    kind, target = status, None
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(path)
        try:
            kind = os.stat(path)
        except OSError:
            kind = status
    is_dir, is_file = stat.S_ISDIR(kind.st_mode), stat.S_ISREG(kind.st_mode)
    return {
        "name": os.path.basename(path) or "/",
        "path": path,
        "type": "dir" if is_dir else "file" if is_file else "other",
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "permissions": stat.filemode(status.st_mode),
        "owner": _OWNERS.get(status.st_uid, "nobody"),
        "group": _OWNERS.get(status.st_gid, "nobody"),
        "mtime_ns": status.st_mtime_ns,
        "symlink": target,
        "metadata": metadata_of(path),
    }


def do_stat(request: Request) -> Reply:
    """Describe one path."""
    return {"entry": entry_of(resolve(request["path"]))}


def do_list(request: Request) -> Reply:
    """Describe what is below a folder, ``depth`` levels deep, in order of path."""
    top, depth = resolve(request["path"]), max(1, request["depth"])
    entries: list[Reply] = []
    if not stat.S_ISDIR(os.stat(top).st_mode):
        raise Refused("ENOTDIR", f"path is not a directory: {top}")

    def walk(folder: str, level: int) -> None:
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            try:
                entries.append(entry_of(path))
                if level < depth and stat.S_ISDIR(os.lstat(path).st_mode):
                    walk(path, level + 1)
            except (FileNotFoundError, PermissionError):
                continue  # it vanished between two looks, or is not ours to look into

    walk(top, 1)
    return {"entries": entries}


def do_make_dir(request: Request) -> Reply:
    """Make a folder with its parents; one that exists is an error of its own."""
    path = resolve(request["path"])
    if os.path.isdir(path):
        raise Refused("EEXIST", f"directory already exists: {path}")
    if os.path.lexists(path):
        raise Refused("ENOTDIR", f"path already exists but it is not a directory: {path}")
    os.makedirs(path)
    return {"entry": entry_of(path)}


def copy_tree(source: str, target: str) -> None:
    """Copy what rename() cannot move: overlayfs refuses to rename folders of lower layers."""
    status = os.lstat(source)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISDIR(status.st_mode):
        os.mkdir(target)
        for name in os.listdir(source):
            copy_tree(os.path.join(source, name), os.path.join(target, name))
        os.chmod(target, stat.S_IMODE(status.st_mode))
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif stat.S_ISREG(status.st_mode):
        reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while os.sendfile(writer, reader, None, CHUNK):
                pass
            os.fchmod(writer, stat.S_IMODE(status.st_mode))
            os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(reader)
            os.close(writer)
    else:
        os.mknod(target, status.st_mode)


def delete_tree(path: str) -> None:
    """Delete a file, a link or a whole folder, never following links."""
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for name in os.listdir(path):
            delete_tree(os.path.join(path, name))
        os.rmdir(path)
    else:
        os.unlink(path)


def do_move(request: Request) -> Reply:
    """Rename, making the target's parents; across overlay layers, copy and delete."""
    source, target = resolve(request["path"]), resolve(request["target"])
    os.lstat(source)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if (target + "/").startswith(source + "/"):
            raise Refused("EINVAL", f"cannot move {source} into itself") from None
        if os.path.isdir(target) and not os.path.islink(target):
            os.rmdir(target)  # rename() replaces an empty folder only, and so do we
        elif os.path.lexists(target):
            os.unlink(target)
        copy_tree(source, target)
        delete_tree(source)
    return {"entry": entry_of(target)}


def do_remove(request: Request) -> Reply:
    """Delete a path; what is not there is removed already, as with envd's os.RemoveAll."""
    path = resolve(request["path"])
    try:
        delete_tree(path)
    except FileNotFoundError:
        pass
    return {}


def open_regular(path: str, flags: int, mode: int = 0o666) -> int:
    """Open without ever blocking on a FIFO, and refuse everything that is not a plain file."""
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, mode)
    kind = os.fstat(fd).st_mode
    if stat.S_ISREG(kind):
        return fd
    os.close(fd)
    if stat.S_ISDIR(kind):
        raise Refused("EISDIR", f"path is a directory: {path}")
    raise Refused("EINVAL", f"path is not a regular file: {path}")


def do_read(request: Request, channel: Channel) -> None:
    """Answer with the size, then send that many bytes into the given pipe and close it."""
    path, sink = resolve(request["path"]), request["fds"][0]
    source = open_regular(path, os.O_RDONLY)
    try:
        size = os.fstat(source).st_size
        # Files of /proc claim to be empty; their content is small enough to be measured first.
        inline = b"" if size else os.read(source, CHUNK)
        channel.send({"id": request["id"], "size": size or len(inline)})
        while inline:
            inline = inline[os.write(sink, inline) :]
        sent = 0
        while sent < size:
            count = os.sendfile(sink, source, sent, min(CHUNK, size - sent))
            if not count:
                break
            sent += count
    finally:
        os.close(source)


def do_write(request: Request) -> Reply:
    """Fill a file from the given pipe until its end; parents are made, content is replaced."""
    path, source = resolve(request["path"]), request["fds"][0]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.isdir(path):
        raise Refused("EISDIR", f"path is a directory: {path}")
    target = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.fchown(target, os.getuid(), os.getgid())  # changes nothing, but is seen by watchers
        while data := os.read(source, CHUNK):
            while data:
                data = data[os.write(target, data) :]
        write_metadata(target, request["metadata"])
    finally:
        os.close(target)
    return {"entry": entry_of(path)}


OPERATIONS = {
    "stat": do_stat,
    "list": do_list,
    "make_dir": do_make_dir,
    "move": do_move,
    "remove": do_remove,
    "write": do_write,
}
"""Answered by one reply each; ``read`` also needs the channel and stands apart."""
