"""System calls the filter or the missing capabilities refuse."""

import ctypes
import mmap
import os
import signal
import socket
from functools import partial

from attempts.kit import BUFFER, Attempt, call, clone, opened, read, status_field

ALONE = "none: the kernel refuses it without privileges outside, filter or not"
pid = partial(call, 39)
WHOLE = "no privileges"


def set_name_spaces() -> str:
    return call(308, os.open("/proc/self/ns/net", os.O_RDONLY), 0)


def quick_clone() -> str:
    return clone(0)


def terminal_ioctl(request: int) -> str:
    master, slave = os.openpty()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # comes when the terminal is closed
    try:
        call(16, slave, 0x540E, 0)  # TIOCSCTTY: one may type into one's own terminal only
        return call(16, slave, request, BUFFER)
    finally:
        os.close(master)
        os.close(slave)


def int80() -> str:
    """Run ``mov eax, 20; int 0x80; ret``: getpid through the 32-bit door."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return f"returned {ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0}"


def shared_code() -> str:
    """The twin: the same page of code, without the 32-bit door."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xc3")
    return str(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))())


route = partial(opened, socket.AF_NETLINK, socket.SOCK_RAW, 0)
plain = partial(opened, socket.AF_INET, socket.SOCK_STREAM)


def refused(name: str, number: int, *arguments: object, wall: str = WHOLE) -> Attempt:
    return Attempt(name, partial(call, number, *arguments), "EPERM", pid, wall)


NEW = {
    "user": 0x10000000, "mount": 0x20000, "network": 0x40000000, "pid": 0x20000000,
    "ipc": 0x8000000, "uts": 0x4000000, "cgroup": 0x2000000,
}  # fmt: skip

ATTEMPTS = [
    refused("mount", 165, b"none", b"/tmp", b"tmpfs", 0, 0),
    refused("bind mount", 165, b"/usr", b"/mnt", 0, 4096, 0),
    refused("remount", 165, b"none", b"/tmp", 0, 32 | 4096, 0, wall=ALONE),
    refused("unmount", 166, b"/etc", 2, wall=ALONE),
    refused("fsopen", 430, b"tmpfs", 0),
    refused("fspick", 433, -100, b"/tmp", 0, wall=ALONE),
    refused("fsmount", 432, -1, 0, 0),
    refused("fsconfig", 431, -1, 0, 0, 0, 0, wall="no filter"),
    refused("open_tree", 428, -100, b"/", 1),
    refused("move_mount", 429, -100, b"/", -100, b"/", 0, wall=ALONE),
    refused("mount_setattr", 442, -100, b"/", 0, BUFFER, 32),
    refused("pivot_root", 155, b"/nowhere", b"/nowhere"),
    refused("chroot", 161, b"/tmp"),
    *(Attempt(f"unshare {name}", partial(call, 272, flag), "EPERM", pid,
              WHOLE) for name, flag in NEW.items()),
    *(Attempt(f"clone {name}", partial(clone, flag), "EPERM", quick_clone, WHOLE)
      for name, flag in NEW.items()),
    Attempt("clone time", partial(clone, 0x80), "EPERM", quick_clone,
            "none: clone(2) takes this flag for a signal number"),
    Attempt("clone3", partial(call, 435, BUFFER, 88), "ENOSYS", quick_clone, "no filter"),
    Attempt("setns", set_name_spaces, "EPERM", pid, WHOLE),
    refused("ptrace", 101, 0, 0, 0, 0, wall="no filter"),
    refused("ptrace pid 1", 101, 0x4206, 1, 0, 0, wall="no filter"),
    refused("process_vm_readv", 310, os.getpid(), 0, 0, 0, 0, 0, wall="no filter"),
    refused("process_vm_writev", 311, os.getpid(), 0, 0, 0, 0, 0, wall="no filter"),
    refused("kcmp", 312, os.getpid(), os.getpid(), 1, 0, 0, wall="no filter"),
    refused("pidfd_getfd", 438, -1, 0, 0, wall="no filter"),
    refused("bpf", 321, 99, BUFFER, 128, wall="no filter"),
    refused("perf_event_open", 298, BUFFER, 0, -1, -1, 0, wall="no filter"),
    refused("userfaultfd", 323, 1, wall="no filter"),
    refused("keyctl", 250, 0, -3, 0, wall="no filter"),
    refused("add_key", 248, b"user", b"a", b"b", 1, -2, wall="no filter"),
    refused("request_key", 249, b"user", b"a", 0, 0, wall="no filter"),
    refused("kexec_load", 246, 0, 0, 0, 0, wall=ALONE),
    refused("kexec_file_load", 320, -1, -1, 0, 0, 0, wall=ALONE),
    refused("init_module", 175, 0, 0, 0, wall=ALONE),
    refused("finit_module", 313, -1, 0, 0, wall=ALONE),
    refused("delete_module", 176, b"x", 0, wall=ALONE),
    refused("reboot", 169, 0xFEE1DEAD, 672274793, 0, 0),
    refused("swapon", 167, b"/tmp/x", 0, wall=ALONE),
    refused("swapoff", 168, b"/tmp/x", wall=ALONE),
    refused("acct", 163, b"/tmp/x", wall=ALONE),
    refused("quotactl", 179, 0, 0, 0, 0, wall="no filter"),
    refused("settimeofday", 164, BUFFER, 0, wall=ALONE),
    refused("clock_settime", 227, 0, BUFFER, wall=ALONE),
    refused("clock_adjtime", 305, 99, BUFFER, wall="no filter"),
    refused("sethostname", 170, b"a", 1),
    refused("setdomainname", 171, b"a", 1),
    refused("iopl", 172, 3, wall=ALONE),
    refused("ioperm", 173, 0, 1, 1, wall=ALONE),
    refused("modify_ldt", 154, 0, BUFFER, 16, wall="no filter"),
    refused("syslog", 103, 3, BUFFER, 64, wall=ALONE),
    refused("fanotify_init", 300, 0, 0, wall=ALONE),
    refused("move_pages", 279, 0, 0, 0, 0, 0, 0, wall="no filter"),
    refused("migrate_pages", 256, 0, 8, BUFFER, BUFFER, wall="no filter"),
    refused("vhangup", 153, wall=ALONE),
    *(Attempt(name, partial(call, number, 1, BUFFER), "ENOSYS", pid, "no filter")
      for name, number in (("io_uring_setup", 425), ("io_uring_register", 427))),
    Attempt("memfd_secret", partial(call, 447, 0), "ENOSYS",
            lambda: os.close(os.memfd_create("x")), "none: the kernel may lack it"),
    Attempt("x32", partial(call, 0x40000000 + 39), "ENOSYS", pid, "none: the kernel may lack it"),
    Attempt("int 0x80", int80, "SIGSYS|SIGSEGV", shared_code, "none: the kernel may lack it"),
    *(Attempt(f"ioctl {name}", partial(terminal_ioctl, request), "EPERM",
              partial(terminal_ioctl, 0x5411), "no filter")
      for name, request in (
          ("TIOCSTI", 0x5412), ("TIOCSTI high bits", 0x7_0000_5412), ("TIOCSETD", 0x5423),
          ("TIOCLINUX", 0x541C), ("TIOCLINUX high bits", 0x1_0000_541C),
      )),
    *(Attempt(f"socket {name}", partial(opened, *arguments), stopped, plain, wall)
      for name, arguments, stopped, wall in (
          ("raw", (2, 3, 1), "EPERM", WHOLE), ("raw 6", (10, 3, 58), "EPERM", WHOLE),
          ("packet", (17, 3, 0), "EAFNOSUPPORT", WHOLE),
          ("vsock", (40, 1, 0), "EAFNOSUPPORT", "none: the kernel may lack it"),
          ("crypto", (38, 5, 0), "EAFNOSUPPORT", "none: the kernel may lack it"),
          ("bluetooth", (31, 3, 1), "EAFNOSUPPORT", "none: the kernel may lack it"),
          ("can", (29, 3, 1), "EAFNOSUPPORT", "none: the kernel may lack it"),
          ("xdp", (44, 3, 0), "EAFNOSUPPORT", "none: the kernel may lack it"),
      )),
    *(Attempt(f"netlink {name}", partial(opened, 16, 3, protocol), "EPERM", route, wall)
      for name, protocol, wall in (
          ("audit", 9, "none: the kernel may lack it"), ("netfilter", 12, "none: as for audit"),
          ("uevent", 15, "no filter"), ("generic", 16, "no filter"),
          ("diagnosis", 4, "none: the kernel may lack it"),
      )),
    Attempt("capabilities", partial(status_field, "CapEff"), "0000000000000000",
            partial(read, "/proc/self/status"), WHOLE),
    Attempt("bounding set", partial(status_field, "CapBnd"), "0000000000000000",
            partial(read, "/proc/self/status"), WHOLE),
    Attempt("new privileges", partial(status_field, "NoNewPrivs"), "1",
            partial(read, "/proc/self/status"), "none: bubblewrap always sets it"),
    Attempt("filter mode", partial(status_field, "Seccomp"), "2",
            partial(read, "/proc/self/status"), "no filter"),
]  # fmt: skip
