"""The system-call filter every desktop process runs under, assembled as classic BPF.

A filter is a list of 8-byte instructions over ``struct seccomp_data`` (nr at 0, arch at 4, the six
arguments at 16, 24, ...; low halves on little-endian machines). bubblewrap loads it last, after
all mounts. Forward jumps are relative, so each rule below is written as a closed block that
either returns or falls through to the next.
"""

import platform
import struct
from collections.abc import Iterable

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
ERRNO = 0x00050000
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_COMMON_NUMBERS = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "clone3": 435, "pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443,
    "memfd_secret": 447, "set_mempolicy_home_node": 450, "open_tree_attr": 467,
}  # fmt: skip
"""Calls added since Linux 5.1 carry the same number on every architecture."""

_NUMBERS = {
    "x86_64": _COMMON_NUMBERS | {
        "ioctl": 16, "socket": 41, "clone": 56, "ptrace": 101, "syslog": 103, "uselib": 134,
        "ustat": 136, "sysfs": 139, "vhangup": 153, "modify_ldt": 154, "pivot_root": 155,
        "_sysctl": 156, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165,
        "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170,
        "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174,
        "init_module": 175, "delete_module": 176, "get_kernel_syms": 177, "query_module": 178,
        "quotactl": 179, "nfsservctl": 180, "lookup_dcookie": 212, "clock_settime": 227,
        "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
        "migrate_pages": 256, "unshare": 272, "move_pages": 279, "perf_event_open": 298,
        "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304,
        "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
        "kcmp": 312, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
        "userfaultfd": 323,
    },
    "aarch64": _COMMON_NUMBERS | {
        "lookup_dcookie": 18, "ioctl": 29, "umount2": 39, "mount": 40, "pivot_root": 41,
        "nfsservctl": 42, "chroot": 51, "vhangup": 58, "quotactl": 60, "acct": 89,
        "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106,
        "clock_settime": 112, "syslog": 116, "ptrace": 117, "reboot": 142, "sethostname": 161,
        "setdomainname": 162, "settimeofday": 170, "socket": 198, "add_key": 217,
        "request_key": 218, "keyctl": 219, "clone": 220, "swapon": 224, "swapoff": 225,
        "migrate_pages": 238, "move_pages": 239, "perf_event_open": 241, "fanotify_init": 262,
        "name_to_handle_at": 264, "open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268,
        "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "finit_module": 273,
        "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294,
    },
}  # fmt: skip

_MISSING = frozenset(
    {
        "io_uring_setup", "io_uring_enter", "io_uring_register", "clone3", "memfd_secret",
        "open_tree_attr", "set_mempolicy_home_node",
    }
)  # fmt: skip
"""Answered ENOSYS, so that callers fall back to an older call; clone3 hides its flags from BPF."""

_INSPECTED = frozenset({"clone", "ioctl", "socket"})
"""Decided by argument; every other known call is refused with EPERM."""

_CLONE_NAMESPACES = 0x7E020080
"""Every CLONE_NEW* flag, CLONE_NEWTIME included."""

_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_RAW, _SOCK_TYPE_MASK = 3, 0xF

_LOAD, _RETURN, _AND, _JEQ, _JGE, _JSET = 0x20, 0x06, 0x54, 0x15, 0x35, 0x45
_NR, _ARCH, _ARG0, _ARG1, _ARG2 = 0, 4, 16, 24, 32

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand."""


def _ret(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _refuse(number: int, errno: int) -> list[Instruction]:
    return [(_JEQ, 0, 1, number), _ret(ERRNO | errno)]


def _only_for(number: int, block: list[Instruction]) -> list[Instruction]:
    """Run ``block``, which returns on every path, for one call and skip it for all others."""
    return [(_JEQ, 0, len(block), number), *block]


def _inspect_clone() -> list[Instruction]:
    return [
        _load(_ARG0),
        (_JSET, 0, 1, _CLONE_NAMESPACES),
        _ret(ERRNO | EPERM),
        _ret(ALLOW),
    ]


def _inspect_ioctl() -> list[Instruction]:
    """Refuse the three requests that type into, or reconfigure, somebody else's terminal."""
    return [
        _load(_ARG1),
        (_JEQ, 2, 0, _TIOCSTI),
        (_JEQ, 1, 0, _TIOCLINUX),
        (_JEQ, 0, 1, _TIOCSETD),
        _ret(ERRNO | EPERM),
        _ret(ALLOW),
    ]


def _inspect_socket() -> list[Instruction]:
    """Allow UNIX, non-raw INET/INET6 and NETLINK_ROUTE (protocol 0, used by getifaddrs)."""
    return [
        _load(_ARG0),
        (_JEQ, 10, 0, _AF_UNIX),
        (_JEQ, 3, 0, _AF_INET),
        (_JEQ, 2, 0, _AF_INET6),
        (_JEQ, 4, 0, _AF_NETLINK),
        _ret(ERRNO | EAFNOSUPPORT),
        _load(_ARG1),
        (_AND, 0, 0, _SOCK_TYPE_MASK),
        (_JEQ, 2, 3, _SOCK_RAW),
        _load(_ARG2),
        (_JEQ, 1, 0, 0),
        _ret(ERRNO | EPERM),
        _ret(ALLOW),
    ]


def assemble(machine: str = platform.machine()) -> list[Instruction]:
    """Return the filter as instructions.

    Raises:
        KeyError: for a machine without a table of call numbers (x86_64 and aarch64 have one).
    """
    numbers = _NUMBERS[machine]
    program: list[Instruction] = [
        _load(_ARCH),
        (_JEQ, 1, 0, _AUDIT_ARCH[machine]),
        _ret(KILL_PROCESS),
        _load(_NR),
    ]
    if machine == "x86_64":
        program += [(_JGE, 0, 1, _X32_BIT), _ret(ERRNO | ENOSYS)]
    for name in sorted(numbers.keys() - _INSPECTED):
        program += _refuse(numbers[name], ENOSYS if name in _MISSING else EPERM)
    program += _only_for(numbers["clone"], _inspect_clone())
    program += _only_for(numbers["ioctl"], _inspect_ioctl())
    program += _only_for(numbers["socket"], _inspect_socket())
    return [*program, _ret(ALLOW)]


def pack(program: Iterable[Instruction]) -> bytes:
    """Encode instructions as the kernel's ``struct sock_filter`` array."""
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
