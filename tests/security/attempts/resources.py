"""Taking more than a desktop's share of what the kernel counts per process or per mount."""

import os
import resource
from functools import partial

from attempts.kit import Attempt, scratch

RAISED = "EPERM|ValueError not allowed to raise maximum limit"


def large_file(size: int) -> str:
    fd = os.open(scratch("large"), os.O_WRONLY)
    try:
        os.ftruncate(fd, size)
    finally:
        os.close(fd)
    return "made"


def memory_folder(path: str, size: int) -> str:
    name = f"{path}/fill-{os.getpid()}"
    fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)
        os.unlink(name)
    return "filled"


def descriptors(count: int) -> str:
    held = [os.dup(0) for _ in range(count)]
    for fd in held:
        os.close(fd)
    return "opened"


def processes(count: int) -> str:
    """Fork sleeping children until the bound; they end with the pipe this process holds."""
    reader, writer = os.pipe()
    for number in range(count):
        try:
            pid = os.fork()
        except OSError:
            os.close(writer)
            return f"bounded at {number // 1000} thousand"
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    os.close(writer)
    return "forked"


ATTEMPTS = [
    Attempt("large file", partial(large_file, 9 << 30), "EFBIG|SIGXFSZ",
            partial(large_file, 1 << 20), "no agent"),
    Attempt("shared memory", partial(memory_folder, "/dev/shm", 1 << 30), "ENOSPC",
            partial(memory_folder, "/dev/shm", 1 << 20), "large memory folders"),
    Attempt("memory in run", partial(memory_folder, "/run", 1 << 30), "ENOSPC|EACCES",
            partial(memory_folder, "/dev/shm", 1 << 20), "none: shown by /dev/shm"),
    Attempt("many descriptors", partial(descriptors, 5000), "EMFILE", partial(descriptors, 100),
            "none: the server's own bound is above the desktop's, but not everywhere"),
    Attempt("fork bomb", partial(processes, 1000), "bounded at 0 thousand",
            partial(processes, 5), "no agent"),
    Attempt("core files", lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)), RAISED,
            lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)), "no agent"),
    Attempt("bound of files", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 50,) * 2),
            RAISED, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2), "no agent"),
]  # fmt: skip
