"""Other users, other processes, and what a process may do to its own standing."""

import ctypes
import os
import resource
import signal
import subprocess
from functools import partial

from attempts.kit import LIBC, PLACE, Attempt, call

ALONE = "none: needs privileges outside"
IMMUNE = "none: the kernel shields pid 1; an agent elsewhere is a different design"


def host_pid() -> int:
    return int(PLACE.get("pid", 4194303))


def signal_self() -> None:
    os.kill(os.getpid(), 0)


def become(call_: object, *ids: int) -> str:
    call_(*ids)  # type: ignore[operator]
    return "became"


def su() -> str:
    done = subprocess.run(
        ["su", "-c", "id"], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    return "refused" if done.returncode else "root"


def twin_program() -> str:
    return subprocess.run(["id"], capture_output=True, check=True).stdout.decode()


def kill_agent(number: int) -> str:
    """Pid 1 takes no signal from inside, not even SIGKILL."""
    os.kill(1, number)
    with open("/proc/1/stat") as file:
        return "immune" if file.read().rpartition(")")[2].split()[0] in "RSD" else "hurt"


def pidfd_of_host() -> str:
    return call(434, host_pid(), 0)


def keep_capabilities() -> str:
    """PR_CAP_AMBIENT_RAISE of CAP_SYS_ADMIN."""
    if LIBC.prctl(47, 2, 21, 0, 0):
        raise OSError(ctypes.get_errno(), "")
    return "raised"


def twin_prctl() -> int:
    return LIBC.prctl(15, b"renamed", 0, 0, 0) or 1


def shared_user() -> str:
    """Uids of the host that are mapped here: more than one would be somebody else's."""
    with open("/proc/self/uid_map") as file:
        lines = [line.split() for line in file]
    return "one" if [line[2] for line in lines] == ["1"] else "several"


own_nice = partial(os.setpriority, os.PRIO_PROCESS, 0, 10)
own_uid = partial(os.setuid, 1000)

ATTEMPTS = [
    Attempt("signal host pid", lambda: os.kill(host_pid(), 0) or "signalled", "ESRCH|EPERM",
            signal_self, "none: of another uid as well"),
    Attempt("pidfd of host pid", pidfd_of_host, "ESRCH|EINVAL|EPERM",
            lambda: call(434, os.getpid(), 0), "host pids"),
    Attempt("kill agent", partial(kill_agent, signal.SIGKILL), "immune", signal_self, IMMUNE),
    Attempt("stop agent", partial(kill_agent, signal.SIGSTOP), "immune", signal_self, IMMUNE),
    Attempt("terminate agent", partial(kill_agent, signal.SIGTERM), "immune", signal_self,
            IMMUNE),
    Attempt("setuid root", partial(become, os.setuid, 0), "EPERM|EINVAL", own_uid, ALONE),
    Attempt("setresuid root", partial(become, os.setresuid, 0, 0, 0), "EPERM|EINVAL",
            partial(os.setresuid, 1000, 1000, 1000), ALONE),
    Attempt("setgid root", partial(become, os.setgid, 0), "EPERM|EINVAL",
            partial(os.setgid, 1000), ALONE),
    Attempt("setgroups", lambda: os.setgroups([0]) or "set", "EPERM|EINVAL", os.getgroups, ALONE),
    Attempt("su", su, "refused", twin_program, ALONE),
    Attempt("ambient capability", keep_capabilities, "EPERM", twin_prctl, "no privileges"),
    Attempt("uid map", shared_user, "one", os.getuid, ALONE),
    Attempt("renice", lambda: os.setpriority(os.PRIO_PROCESS, 0, -20) or "set", "EACCES|EPERM",
            own_nice, ALONE),
    Attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)),
            "EPERM", lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)), ALONE),
    Attempt("more processes", lambda: resource.setrlimit(resource.RLIMIT_NPROC, (10**7, 10**7)),
            "EPERM|ValueError not allowed to raise maximum limit",
            lambda: resource.setrlimit(resource.RLIMIT_NPROC, (100, 100)), ALONE),
]  # fmt: skip
