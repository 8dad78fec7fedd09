"""Attempts to get out, run inside a desktop as one Python program that prints a JSON verdict each.

Standard library only, low-level on purpose, with x86_64 call numbers. An attempt yields the name
of the errno that stopped it, or what it got.
"""

# ruff: noqa: E741, PLW1510, PTH104, PTH106, PTH115, PTH123, PTH208, SIM115, T201, UP031

import ctypes
import errno
import json
import os
import resource
import socket
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
BUFFER = ctypes.create_string_buffer(256)
CANARY, HOST_PID, HOST_PORT, HOST_ABSTRACT = sys.argv[1:5]
RESULTS = {}


def attempt(name, function):
    try:
        RESULTS[name] = str(function())
    except OSError as error:
        RESULTS[name] = errno.errorcode.get(error.errno, str(error.errno))
    except ValueError as error:
        RESULTS[name] = "ValueError " + str(error)


def call(number, *arguments):
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return "succeeded"


def read(path):
    with open(path, "rb") as file:
        return "read %d" % len(file.read(200))


def write(path, data=b"x"):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    return "written"


def connect(family, address):
    with socket.socket(family) as end:
        end.settimeout(2)
        end.connect(address)
    return "connected"


def opened(*arguments):
    socket.socket(*arguments).close()
    return "opened"


# files of the host
attempt("shadow", lambda: read("/etc/shadow"))
attempt("root home", lambda: sorted(os.listdir("/root")))
attempt("canary", lambda: read(CANARY))
attempt("canary through pid 1", lambda: read("/proc/1/root" + CANARY))
attempt("oldroot", lambda: os.listdir("/oldroot"))
attempt("sys", lambda: os.listdir("/sys"))
attempt("usr local", lambda: os.listdir("/usr/local"))
attempt("var lib", lambda: os.listdir("/var/lib"))
attempt("run", lambda: os.listdir("/run"))
attempt("machine id", lambda: read("/etc/machine-id"))
attempt("write usr", lambda: open("/usr/bin/evil", "w"))
attempt("write passwd", lambda: write("/etc/passwd"))
attempt("write python", lambda: write("/opt/desktop/pyvenv.cfg"))
attempt("preload", lambda: open("/etc/ld.so.preload", "w"))
attempt("hardlink usr", lambda: os.link("/usr/bin/id", "/tmp/id"))
attempt("rename usr", lambda: os.rename("/usr", "/usr2"))
attempt("rename opt", lambda: os.rename("/opt", "/opt2"))
attempt("rename proc", lambda: os.rename("/proc", "/proc2"))
attempt("remove bin", lambda: os.rmdir("/bin"))
# the agent and other processes
attempt("pids", lambda: max(int(p) for p in os.listdir("/proc") if p.isdigit()) < 200)
attempt("signal host pid", lambda: os.kill(int(HOST_PID), 0))
attempt("ptrace agent", lambda: call(101, 16, 1, 0, 0))
attempt("agent memory", lambda: os.open("/proc/1/mem", os.O_RDWR))
attempt("agent descriptors", lambda: os.listdir("/proc/1/fd"))
attempt("agent environ", lambda: read("/proc/1/environ"))
attempt("process_vm_readv", lambda: call(310, 1, 0, 0, 0, 0, 0))
attempt("pidfd_getfd", lambda: call(438, 3, 0, 0))
attempt("own descriptors", lambda: sorted(map(int, os.listdir("/proc/self/fd")))[:3])
attempt("environment", lambda: sorted(k for k in os.environ if "SECRET" in k or "KEY" in k))
# kernel knobs
attempt("core_pattern", lambda: write("/proc/sys/kernel/core_pattern", b"core"))
attempt("panic_on_oom", lambda: write("/proc/sys/vm/panic_on_oom", b"0"))
attempt("sysrq", lambda: write("/proc/sysrq-trigger", b"h"))
attempt("kcore", lambda: read("/proc/kcore"))
attempt("kmsg", lambda: read("/proc/kmsg"))
attempt("keys", lambda: read("/proc/keys"))
attempt("kallsyms", lambda: read("/proc/kallsyms"))
attempt("cmdline", lambda: read("/proc/cmdline"))
attempt("syslog", lambda: call(103, 3, BUFFER, 64))
# mounts and namespaces
attempt("mount", lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, 0))
attempt("remount", lambda: call(165, b"none", b"/usr", 0, 32 | 4096, 0))
attempt("umount", lambda: call(166, b"/etc", 2))
attempt("fsopen", lambda: call(430, b"tmpfs", 0))
attempt("open_tree", lambda: call(428, -100, b"/", 1))
attempt("move_mount", lambda: call(429, -100, b"/", -100, b"/", 0))
attempt("pivot_root", lambda: call(155, b"/tmp", b"/tmp"))
attempt("chroot", lambda: call(161, b"/tmp"))
attempt("unshare user", lambda: call(272, 0x10000000))
attempt("unshare net", lambda: call(272, 0x40000000))
attempt("clone user", lambda: call(56, 0x10000011, 0, 0, 0, 0))
attempt("clone3", lambda: call(435, BUFFER, 88))
attempt("setns", lambda: call(308, os.open("/proc/self/ns/net", 0), 0))
attempt("mknod block", lambda: os.mknod("/tmp/b", 0o60600, os.makedev(254, 0)))
attempt("mknod mem", lambda: os.mknod("/tmp/m", 0o20600, os.makedev(1, 1)))
attempt("open_by_handle", lambda: call(304, 3, BUFFER, 0))
# privileges
attempt("capabilities", lambda: {l.split()[1] for l in open("/proc/self/status") if "Cap" in l})
attempt("no_new_privs", lambda: [l.split()[1] for l in open("/proc/self/status") if "NoNew" in l])
attempt(
    "seccomp mode", lambda: [l.split()[1] for l in open("/proc/self/status") if "Seccomp:" in l]
)
attempt("setuid 0", lambda: os.setuid(0))
attempt("setgroups", lambda: os.setgroups([0]))
attempt(
    "su", lambda: subprocess.run(["su", "-c", "id"], capture_output=True, stdin=-3).returncode > 0
)
attempt("renice", lambda: os.setpriority(0, 0, -20))
attempt("realtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)))
attempt("raise limits", lambda: resource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6)))
attempt("oom score", lambda: write("/proc/self/oom_score_adj", b"-1000"))
attempt("core limit", lambda: resource.getrlimit(resource.RLIMIT_CORE))
# the kernel's wide doors
attempt("bpf", lambda: call(321, 0, 0, 0))
attempt("perf", lambda: call(298, 0, 0, -1, -1, 0))
attempt("userfaultfd", lambda: call(323, 1))
attempt("io_uring", lambda: call(425, 8, BUFFER))
attempt("keyctl", lambda: call(250, 0, -3, 0))
attempt("add_key", lambda: call(248, b"user", b"a", b"b", 1, -4))
attempt("kexec", lambda: call(246, 0, 0, 0, 0))
attempt("init_module", lambda: call(175, 0, 0, 0))
attempt("reboot", lambda: call(169, 0xFEE1DEAD, 672274793, 0, 0))
attempt("settimeofday", lambda: call(164, BUFFER, 0))
attempt("sethostname", lambda: call(170, b"a", 1))
attempt("x32", lambda: call(0x40000000 + 39))
attempt("tiocsti", lambda: call(16, 0, 0x5412, ctypes.c_char_p(b"x")))
attempt("dev tty", lambda: os.open("/dev/tty", os.O_RDWR))
# the network
attempt("host loopback", lambda: connect(socket.AF_INET, ("127.0.0.1", int(HOST_PORT))))
attempt("abstract socket", lambda: connect(socket.AF_UNIX, "\0" + HOST_ABSTRACT))
attempt("outside", lambda: connect(socket.AF_INET, ("192.0.2.1", 80)))
attempt("raw", lambda: opened(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("packet", lambda: opened(17, socket.SOCK_RAW, 0))
attempt("vsock", lambda: opened(40, socket.SOCK_STREAM, 0))
attempt("alg", lambda: opened(38, socket.SOCK_SEQPACKET, 0))
attempt("netlink audit", lambda: opened(16, socket.SOCK_RAW, 9))
# harmless twins: what the walls must not stop
attempt("own file", lambda: open("/tmp/own", "w").write("x") and read("/tmp/own"))
attempt("own fifo", lambda: os.mkfifo("/tmp/fifo"))
attempt("own namespaces", lambda: bool(os.readlink("/proc/self/ns/user")))
attempt("fork", lambda: subprocess.run(["true"]).returncode)
attempt("netlink route", lambda: opened(16, socket.SOCK_RAW, 0))
attempt("read knob", lambda: read("/proc/sys/kernel/ostype"))
attempt("lower limits", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
attempt("random", lambda: len(os.urandom(8)))


def own_loopback():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return connect(socket.AF_INET, server.getsockname())


attempt("own loopback", own_loopback)
print(json.dumps(RESULTS))
