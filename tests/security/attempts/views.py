"""What /proc, /dev and the environment tell, and the kernel's knobs."""

import os
from functools import partial

from attempts.kit import PLACE, Attempt, entries, exists, read, scratch, writable_mount, write

SHUT = "EACCES|EPERM|ENOENT|EROFS|ESRCH"
own_maps = partial(read, "/proc/self/maps")
own_view = partial(read, "/proc/self/status")


def twin_write() -> str:
    return write(scratch("knob"))


def foreign_pids() -> str:
    """Processes this desktop did not start: its own numbers begin at 1 and stay small."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return "own only" if 1 in pids and len(pids) < 40 else f"{len(pids)} pids"


def host_process() -> str:
    return exists(f"/proc/{PLACE.get('pid', 4194303)}")


def secrets_in_environment() -> str:
    words = ("SECRET", "API_KEY", "PASSWORD", "PLANTED")
    found = [name for name in os.environ if any(word in name for word in words)]
    return f"found {found}" if found else "clean"


def inherited_descriptors() -> str:
    """Descriptors beyond the standard three, the pipe of this attempt and the listing's own."""
    mine = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            mine[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    foreign = [
        where for fd, where in mine.items()
        if fd > 2 and not where.startswith("pipe:") and "/proc/" not in where
    ]  # fmt: skip
    return f"foreign {foreign}" if foreign else "none"


def mount_paths() -> str:
    """Host paths in mountinfo that would tell the data folder's place."""
    data = str(PLACE.get("data") or "/nowhere")
    with open("/proc/self/mountinfo") as file:
        return "named" if data + "/registry" in file.read() else "unnamed"


ROOTLESS = "none: also needs root outside"

ATTEMPTS = [
    Attempt("foreign pids", foreign_pids, "own only", partial(entries, "/proc"), "host pids"),
    Attempt("host process", host_process, "ENOENT", partial(exists, "/proc/self"), "host pids"),
    Attempt("agent environment", partial(read, "/proc/1/environ"), SHUT,
            partial(read, "/proc/self/environ"), "no agent"),
    Attempt("agent memory", partial(os.open, "/proc/1/mem", os.O_RDWR), SHUT,
            partial(os.open, "/proc/self/mem", os.O_RDWR), "no agent"),
    Attempt("agent maps", partial(read, "/proc/1/maps"), SHUT, own_maps, "no agent"),
    Attempt("agent descriptors", partial(entries, "/proc/1/fd"), SHUT,
            partial(entries, "/proc/self/fd"), "no agent"),
    Attempt("agent root", partial(entries, "/proc/1/root"), SHUT,
            partial(entries, "/proc/self/root"), "no agent"),
    Attempt("agent working folder", partial(entries, "/proc/1/cwd"), SHUT,
            partial(entries, "/proc/self/cwd"), "no agent"),
    Attempt("agent stack", partial(read, "/proc/1/stack"), SHUT, own_view, ROOTLESS),
    Attempt("agent namespaces", partial(os.readlink, "/proc/1/ns/user"), SHUT,
            partial(os.readlink, "/proc/self/ns/user"), "no agent"),
    Attempt("kernel knobs", partial(writable_mount, "/proc/sys"), "read-only",
            partial(writable_mount, "/proc"), "writable knobs"),
    Attempt("core pattern", partial(write, "/proc/sys/kernel/core_pattern", b"core"), SHUT,
            twin_write, ROOTLESS),
    Attempt("modprobe path", partial(write, "/proc/sys/kernel/modprobe", b"/tmp/x"), SHUT,
            twin_write, ROOTLESS),
    Attempt("panic on oom", partial(write, "/proc/sys/vm/panic_on_oom", b"0"), SHUT, twin_write,
            ROOTLESS),
    Attempt("binfmt", partial(write, "/proc/sys/fs/binfmt_misc/register", b":x:"), SHUT,
            twin_write, ROOTLESS),
    Attempt("user namespaces back", partial(write, "/proc/sys/user/max_user_namespaces", b"9"),
            SHUT, partial(read, "/proc/sys/user/max_user_namespaces"), ROOTLESS),
    Attempt("sysrq", partial(write, "/proc/sysrq-trigger", b"h"), SHUT, twin_write, ROOTLESS),
    Attempt("kernel memory", partial(read, "/proc/kcore"), SHUT, own_maps, ROOTLESS),
    Attempt("kernel log", partial(read, "/proc/kmsg"), SHUT, own_view, ROOTLESS),
    Attempt("page map", partial(os.open, "/proc/kpagecount", os.O_RDONLY), SHUT,
            partial(os.open, "/proc/self/pagemap", os.O_RDONLY), ROOTLESS),
    Attempt("keys", partial(read, "/proc/keys"), SHUT + "|read 0", own_view,
            "none: a user without keys has an empty list"),
    Attempt("symbols", partial(read, "/proc/kallsyms"), SHUT + "|read 0", own_view, "no covers"),
    Attempt("kernel command line", partial(read, "/proc/cmdline"), SHUT + "|read 0", own_view,
            "no covers"),
    Attempt("own oom score", partial(write, "/proc/self/oom_score_adj", b"-1000"), "EACCES",
            partial(write, "/proc/self/oom_score_adj", b"600"), ROOTLESS),
    Attempt("own uid map", partial(write, "/proc/self/uid_map", b"0 0 1"), SHUT,
            partial(read, "/proc/self/uid_map"), "none: a map is written once"),
    Attempt("own loginuid", partial(write, "/proc/self/loginuid", b"0"), SHUT + "|EINVAL",
            partial(exists, "/proc/self/comm"), ROOTLESS),
    Attempt("environment", secrets_in_environment, "clean", own_view, "host environment"),
    Attempt("descriptors", inherited_descriptors, "none", own_view, "open descriptor"),
    Attempt("mount paths", mount_paths, "unnamed", own_view, "none: names nothing but mounts"),
    Attempt("terminal", partial(os.open, "/dev/tty", os.O_RDWR), "ENXIO",
            partial(os.open, "/dev/ptmx", os.O_RDWR | os.O_NOCTTY), "none: no terminal outside"),
]  # fmt: skip
