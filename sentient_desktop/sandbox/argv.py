"""The command line of a jail, as a pure function: bubblewrap's options in the order they act.

Two rules shape it. Everything the desktop writes lands in one writable root (an overlay's upper,
or a plain folder). And every mount point is either a top-level name or lies under a mount made
here: the guest owns its root, and on a cold boot bubblewrap walks that root again, so a mount
point below a guest-writable folder could have been replaced by a symbolic link to the outside.
The kernel refuses to rename or remove a name something is mounted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

GUEST_UID = 1000
GUEST_HOME = "/home/user"
PYTHON_MOUNT = "/opt/python"
PACKAGES_MOUNT = "/opt/packages"
CONTROL_FD, SECCOMP_FD, INFO_FD = 3, 4, 5
"""Descriptors the spawner leaves open for bubblewrap; the agent inherits only the first."""

MERGED_DIRS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Top-level names that usr-merged systems link into /usr; bound one by one, not linked."""

MOUNT_POINTS = (*MERGED_DIRS, "usr", "etc", "opt", "proc", "dev", "run")
"""Top-level folders of a desktop's root that are covered at every boot."""


@dataclass(frozen=True)
class OverlayRoot:
    """A root made of read-only ``layers`` (bottom first) under one writable ``upper``."""

    layers: Sequence[str]
    upper: str
    work: str


@dataclass(frozen=True)
class PlainRoot:
    """A root that is one writable folder, for machines that refuse overlays."""

    path: str


@dataclass(frozen=True)
class Jail:
    """Everything that differs between two jails. All paths are the host's."""

    bwrap: str
    root: OverlayRoot | PlainRoot
    etc: str
    desktop: str
    """The read-only folder shown as /opt/desktop: the desktop's Python and its packages."""
    python_prefix: str | None
    """Interpreter prefix to show at /opt/python; None when the interpreter lies under /usr."""
    packages: str | None = None
    """The template's packages to show at /opt/packages, where the desktop's Python finds them."""
    usr_local: str | None = None
    """Interpreter prefix that is /usr/local itself, shown there; otherwise it is masked."""
    site_packages: str | None = None
    """Where the host interpreter's own packages show inside; emptied, they are not the guest's."""
    top_dirs: Sequence[tuple[str, str]] = ()
    """(name, source) for each of MERGED_DIRS that exists on the host."""
    masked: Sequence[str] = ("/usr/local", "/usr/src")
    """Folders under /usr that exist on the host and may hold private things."""
    proc_secrets: Sequence[str] = ("keys", "kallsyms", "cmdline")
    """Files of /proc to cover with /dev/null: they describe the host, not the desktop."""
    boot_id: str | None = None
    """File shown as the kernel's boot id: each boot of a desktop is one of its own."""
    shm_bytes: int = 256 << 20
    seccomp: bool = True
    command: Sequence[str] = ()
    """What runs as pid 1."""


def _namespaces() -> list[str]:
    return [
        "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net",
        "--unshare-cgroup-try", "--disable-userns", "--assert-userns-disabled",
        "--uid", str(GUEST_UID), "--gid", str(GUEST_UID), "--hostname", "desktop",
        "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL", "--clearenv",
    ]  # fmt: skip


def _root(root: OverlayRoot | PlainRoot) -> list[str]:
    if isinstance(root, PlainRoot):
        return ["--bind", root.path, "/"]
    lower = [option for layer in root.layers for option in ("--overlay-src", layer)]
    return [*lower, "--overlay", root.upper, root.work, "/"]


def _system(jail: Jail) -> list[str]:
    """The host's programs, read-only, with the corners that may hold private things emptied."""
    argv = ["--ro-bind", "/usr", "/usr"]
    for name, source in jail.top_dirs:
        argv += ["--ro-bind", source, f"/{name}"]
    for path in jail.masked:
        if path == "/usr/local" and jail.usr_local:
            argv += ["--ro-bind", jail.usr_local, path]
        else:
            argv += ["--tmpfs", path, "--remount-ro", path]
    return [*argv, "--ro-bind", jail.etc, "/etc"]


def _opt(jail: Jail) -> list[str]:
    argv = ["--tmpfs", "/opt", "--ro-bind", jail.desktop, "/opt/desktop"]
    if jail.python_prefix:
        argv += ["--ro-bind", jail.python_prefix, PYTHON_MOUNT]
    if jail.packages:
        argv += ["--ro-bind", jail.packages, PACKAGES_MOUNT]
    if jail.site_packages:
        argv += ["--tmpfs", jail.site_packages, "--remount-ro", jail.site_packages]
    return [*argv, "--remount-ro", "/opt"]


def _kernel_views(jail: Jail) -> list[str]:
    """Private /proc, /dev and memory folders; /proc/sys read-only whoever the host user is."""
    argv = ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    if jail.boot_id:
        argv += ["--ro-bind", jail.boot_id, "/proc/sys/kernel/random/boot_id"]
    for secret in jail.proc_secrets:
        argv += ["--ro-bind", "/dev/null", f"/proc/{secret}"]
    shm_bytes = jail.shm_bytes
    argv += ["--dev", "/dev", "--size", str(shm_bytes), "--perms", "1777", "--tmpfs", "/dev/shm"]  # noqa: S108
    argv += ["--remount-ro", "/dev"]  # its own tmpfs has no size; what is mounted on it stays as is
    return [*argv, "--size", str(shm_bytes), "--perms", "0755", "--tmpfs", "/run"]


def build_argv(jail: Jail) -> list[str]:
    """Return the full command line: namespaces, root, system, views, filter, then pid 1."""
    filters = ["--seccomp", str(SECCOMP_FD)] if jail.seccomp else []
    return [
        jail.bwrap,
        *_namespaces(),
        *_root(jail.root),
        *_system(jail),
        *_opt(jail),
        *_kernel_views(jail),
        *("--chdir", "/", "--info-fd", str(INFO_FD)),
        *filters,
        "--",
        *jail.command,
    ]


def find_top_dirs() -> list[tuple[str, str]]:
    """Look up, on this host, what each of MERGED_DIRS really is."""
    return [(n, str(Path("/", n).resolve())) for n in MERGED_DIRS if Path("/", n).is_dir()]


def find_masked() -> list[str]:
    """Look up which of the folders to empty exist; a missing mount point would fail the boot."""
    return [path for path in ("/usr/local", "/usr/src") if Path(path).is_dir()]


def find_proc_secrets() -> list[str]:
    """Look up which of the files to cover this kernel has."""
    return [name for name in ("keys", "kallsyms", "cmdline") if Path("/proc", name).exists()]
