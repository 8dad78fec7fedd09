"""The file API, carried out inside the desktop's own root.

Paths are whatever the client sent: the kernel resolves them in the jail's mount namespace, so no
symbolic link leads anywhere the guest could not go itself.
"""

# pathlib and contextlib would cost more start-up time than everything here together.

import errno
import os
import stat

from sentient_desktop.sandbox.guest.trees import copy_tree, delete_tree, make_folders
from sentient_desktop.sandbox.guest.wire import Refused, Reply, Request

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


def entry_of(path: str) -> Reply:
    """Describe a path itself. ``type`` is the target's for a symbolic link, as envd reports it.

    ``symlink`` is the path a link leads to in the end, or its own text when it leads nowhere.
    """
    status = os.lstat(path)
    kind, target = status, None
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(path)
        try:
            kind, target = os.stat(path), os.path.realpath(path, strict=True)
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
    if not stat.S_ISDIR(os.stat(top).st_mode):
        raise Refused("ENOTDIR", f"path is not a directory: {top}")
    entries: list[Reply] = []
    pending = [(top, 0)]
    while pending:
        path, level = pending.pop()
        try:
            if level:
                entries.append(entry_of(path))
            if not level or (level < depth and stat.S_ISDIR(os.lstat(path).st_mode)):
                below = sorted(os.listdir(path), reverse=True)
                pending += [(os.path.join(path, name), level + 1) for name in below]
        except (FileNotFoundError, PermissionError):
            if not level:
                raise
            # it vanished between two looks, or is not ours to look into
    return {"entries": entries}


def do_make_dir(request: Request) -> Reply:
    """Make a folder with its parents; one that exists is an error of its own."""
    path = resolve(request["path"])
    if os.path.isdir(path):
        raise Refused("EEXIST", f"directory already exists: {path}")
    if os.path.lexists(path):
        raise Refused("ENOTDIR", f"path already exists but it is not a directory: {path}")
    make_folders(path)
    return {"entry": entry_of(path)}


def do_move(request: Request) -> Reply:
    """Rename, making the target's parents; across overlay layers, copy and delete."""
    source, target = resolve(request["path"]), resolve(request["target"])
    os.lstat(source)
    make_folders(os.path.dirname(target))
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


OPERATIONS = {
    "stat": do_stat,
    "list": do_list,
    "make_dir": do_make_dir,
    "move": do_move,
    "remove": do_remove,
}
