"""Files of the host, of other desktops, and the read-only parts of this one."""

import os
from functools import partial

from attempts.kit import (
    PLACE,
    Attempt,
    call,
    entries,
    exists,
    read,
    scratch,
    writable_mount,
    write,
)

ABSENT = "ENOENT|EACCES|ENOTDIR"
FROZEN = "EROFS|EACCES|EPERM"

own_passwd = partial(read, "/etc/passwd")
own_folder = partial(entries, "/etc")


def planted(key: str) -> str:
    """Return a path the host planted; one that cannot exist when it planted none."""
    return str(PLACE.get(key) or "/nowhere/planted")


def through(link: str, target: str) -> str:
    """Read a file of the host through a symbolic link of our own."""
    path = f"/tmp/{link}-{os.getpid()}"
    os.symlink(target, path)
    return read(path)


def hardlinked(source: str) -> str:
    os.link(source, f"/tmp/link-{os.getpid()}")
    return "linked"


def renamed(path: str) -> str:
    os.rename(path, path + "-moved")
    return "renamed"


def twin_rename() -> str:
    return renamed(scratch("rename"))


def twin_rmdir() -> None:
    path = f"/tmp/folder-{os.getpid()}"
    os.mkdir(path)
    os.rmdir(path)


def twin_write() -> str:
    return write(scratch("write"))


def made_device(kind: int, major: int, minor: int) -> str:
    os.mknod(f"/tmp/node-{os.getpid()}", kind | 0o600, os.makedev(major, minor))
    return "made"


def twin_node() -> None:
    os.mkfifo(f"/tmp/fifo-{os.getpid()}")


def given_to(uid: int) -> str:
    path = scratch("setuid")
    os.chown(path, uid, uid)
    os.chmod(path, 0o4755)
    return "given"


def handle_of_root() -> str:
    return call(303, -100, b"/", b"\x80" + bytes(200), b"\0" * 8, 0)


OTHER = "none: files of one owner more; the folder is simply not there"

ATTEMPTS = [
    Attempt("shadow", partial(exists, "/etc/shadow"), ABSENT, own_passwd, "host etc"),
    Attempt("machine id", partial(exists, "/etc/machine-id"), ABSENT, own_passwd, OTHER),
    Attempt("host users", partial(exists, "/etc/login.defs"), ABSENT, own_passwd, "host etc"),
    Attempt("sudoers", partial(exists, "/etc/sudoers"), ABSENT, own_passwd, OTHER),
    Attempt("ssh keys", partial(exists, "/etc/ssh"), ABSENT, own_passwd, OTHER),
    Attempt("host resolver", partial(exists, "/etc/pam.d"), ABSENT, own_passwd, "host etc"),
    Attempt("root home", partial(entries, "/root"), "empty|" + ABSENT, own_folder, OTHER),
    Attempt("home folders", partial(exists, "/home/ubuntu"), ABSENT,
            partial(exists, "/home/user"), OTHER),
    Attempt("planted file", lambda: read(planted("canary")), ABSENT, own_passwd, "host folder"),
    Attempt("planted by link", lambda: through("l", planted("canary")), ABSENT,
            lambda: through("t", "/etc/passwd"), "host folder"),
    Attempt("planted by dots", lambda: read("/tmp/../.." + planted("canary")), ABSENT,
            lambda: read("/tmp/../etc/passwd"), "host folder"),
    Attempt("planted by proc root", lambda: read("/proc/self/root" + planted("canary")), ABSENT,
            lambda: read("/proc/self/root/etc/passwd"), "host folder"),
    Attempt("planted by cwd", lambda: read("/proc/self/cwd/../../../.." + planted("canary")),
            ABSENT, lambda: read("/proc/self/cwd/../../../../etc/passwd"), "host folder"),
    Attempt("planted folder", lambda: entries(planted("shared")), ABSENT, own_folder,
            "host folder"),
    Attempt("data folder", lambda: entries(planted("data")), ABSENT, own_folder,
            "none: shut to every uid but the server's even when visible"),
    Attempt("registry", lambda: read(planted("data") + "/registry.db"), ABSENT, own_passwd,
            "none: unreadable for the dropped uid even when visible"),
    Attempt("another desktop", lambda: entries(planted("other")), ABSENT, own_folder,
            "none: its owner is another host uid even when visible"),
    Attempt("old root", partial(entries, "/oldroot"), ABSENT, own_folder, OTHER),
    Attempt("new root", partial(entries, "/newroot"), ABSENT, own_folder, OTHER),
    Attempt("usr local", partial(entries, "/usr/local"), "empty|ENOENT",
            partial(entries, "/usr/bin"), "no masks"),
    Attempt("usr src", partial(writable_mount, "/usr/src"), "read-only|ENOENT",
            partial(writable_mount, "/tmp"), OTHER),
    Attempt("var lib", partial(entries, "/var/lib"), ABSENT, partial(entries, "/var"), OTHER),
    Attempt("var log", partial(entries, "/var/log"), ABSENT, partial(entries, "/var"), OTHER),
    Attempt("run", partial(entries, "/run"), "empty", partial(entries, "/"), "host run"),
    Attempt("docker socket", partial(exists, "/run/docker.sock"), ABSENT,
            partial(exists, "/run"), OTHER),
    Attempt("system bus", partial(exists, "/run/dbus/system_bus_socket"), ABSENT,
            partial(exists, "/run"), OTHER),
    Attempt("boot", partial(entries, "/boot"), ABSENT, own_folder, OTHER),
    Attempt("sys", partial(entries, "/sys"), ABSENT, own_folder, "host sys"),
    Attempt("release agent", partial(write, "/sys/fs/cgroup/release_agent"), ABSENT, twin_write,
            "none: also needs capabilities outside"),
    Attempt("write usr", partial(write, "/usr/bin/evil", flags=os.O_CREAT), FROZEN, twin_write,
            "none: root's own folder; the mount is tried by itself below"),
    Attempt("usr mount", partial(writable_mount, "/usr"), "read-only",
            partial(writable_mount, "/tmp"), "writable binds"),
    Attempt("bin mount", partial(writable_mount, "/bin"), "read-only",
            partial(writable_mount, "/tmp"), "writable binds"),
    Attempt("etc mount", partial(writable_mount, "/etc"), "read-only",
            partial(writable_mount, "/tmp"), "writable binds"),
    Attempt("template mount", partial(writable_mount, "/opt/desktop"), "read-only",
            partial(writable_mount, "/tmp"), "writable binds"),
    Attempt("write passwd", partial(write, "/etc/passwd"), FROZEN, twin_write, OTHER),
    Attempt("write python", partial(write, "/opt/desktop/pyvenv.cfg"), FROZEN, twin_write, OTHER),
    Attempt("preload", partial(write, "/etc/ld.so.preload", flags=os.O_CREAT), FROZEN, twin_write,
            OTHER),
    Attempt("hard link to usr", partial(hardlinked, "/usr/bin/id"), "EXDEV|EPERM|EROFS",
            lambda: os.link(scratch("source"), f"/tmp/l2-{os.getpid()}"),
            "none: another filesystem"),
    Attempt("rename usr", partial(renamed, "/usr"), "EBUSY|EPERM|EACCES", twin_rename,
            "none: what makes it a mount point is what shows it"),
    Attempt("rename opt", partial(renamed, "/opt"), "EBUSY", twin_rename, "none: as for usr"),
    Attempt("rename etc", partial(renamed, "/etc"), "EBUSY", twin_rename, "none: as for usr"),
    Attempt("rename proc", partial(renamed, "/proc"), "EBUSY", twin_rename, "none: as for usr"),
    Attempt("remove bin", partial(os.rmdir, "/bin"), "EBUSY", twin_rmdir, "none: as for usr"),
    Attempt("block device", partial(made_device, 0o060000, 254, 0), "EPERM", twin_node,
            "none: devices need the initial namespace's capability"),
    Attempt("memory device", partial(made_device, 0o020000, 1, 1), "EPERM", twin_node,
            "none: as for the block device"),
    Attempt("kernel log device", partial(exists, "/dev/kmsg"), ABSENT,
            partial(exists, "/dev/null"), "host dev"),
    Attempt("memory of the machine", partial(exists, "/dev/mem"), ABSENT,
            partial(exists, "/dev/zero"), OTHER),
    Attempt("tun", partial(exists, "/dev/net/tun"), ABSENT, partial(exists, "/dev/urandom"),
            OTHER),
    Attempt("fuse", partial(exists, "/dev/fuse"), ABSENT, partial(exists, "/dev/full"), OTHER),
    Attempt("setuid file of root", partial(given_to, 0), "EPERM|EINVAL", partial(given_to, 1000),
            "none: no other owner is mapped"),
    Attempt("handles", handle_of_root, "EPERM", partial(call, 39), "no filter"),
    Attempt("open by handle", partial(call, 304, 3, bytes(64), 0), "EPERM", partial(call, 39),
            "no filter"),
]  # fmt: skip
