"""The filter's verdicts, computed by a small BPF interpreter from the bytes the kernel gets."""

import struct

import pytest

from sentient_desktop.sandbox.seccomp import ALLOW, ERRNO, KILL_PROCESS, assemble, pack

X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003
EPERM, ENOSYS, EAFNOSUPPORT = ERRNO | 1, ERRNO | 38, ERRNO | 97


def judge(program: bytes, number: int, *arguments: int, arch: int = X86_64) -> int:
    """Run a classic BPF program over one call; every jump must land inside the program."""
    data = struct.pack("<IIQ", number, arch, 0)
    data += struct.pack("<6Q", *(list(arguments) + [0] * 6)[:6])
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator, position = 0, 0
    for _ in range(len(instructions)):
        code, jump_true, jump_false, operand = instructions[position]
        position += 1
        if code == 0x20:
            accumulator = int(struct.unpack_from("<I", data, operand)[0])
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x06:
            return int(operand)
        else:
            holds = {
                0x15: accumulator == operand,
                0x35: accumulator >= operand,
                0x45: bool(accumulator & operand),
            }[code]
            position += jump_true if holds else jump_false
    raise AssertionError("the program did not return")


PROGRAM = pack(assemble("x86_64"))
ARM_PROGRAM = pack(assemble("aarch64"))


@pytest.mark.parametrize(
    ("number", "arguments", "verdict"),
    [
        (0, (), ALLOW),  # read
        (59, (), ALLOW),  # execve
        (435, (), ENOSYS),  # clone3
        (425, (), ENOSYS),  # io_uring_setup
        (165, (), EPERM),  # mount
        (272, (0x10000000,), EPERM),  # unshare
        (101, (), EPERM),  # ptrace
        (310, (), EPERM),  # process_vm_readv
        (321, (), EPERM),  # bpf
        (56, (0x11,), ALLOW),  # clone(SIGCHLD)
        (56, (0x3D0F00,), ALLOW),  # clone as pthread_create does
        (56, (0x10000011,), EPERM),  # clone(CLONE_NEWUSER)
        (56, (0x00020011,), EPERM),  # clone(CLONE_NEWNS)
        (56, (0x91,), EPERM),  # clone(CLONE_NEWTIME)
        (16, (0, 0x5401), ALLOW),  # ioctl(TCGETS)
        (16, (0, 0x5412), EPERM),  # ioctl(TIOCSTI)
        (16, (0, 0xFFFF00005412), EPERM),  # high half of the request is ignored by the kernel
        (16, (0, 0x541C), EPERM),  # ioctl(TIOCLINUX)
        (16, (0, 0x5423), EPERM),  # ioctl(TIOCSETD)
        (41, (1, 1), ALLOW),  # socket(AF_UNIX)
        (41, (2, 1), ALLOW),  # socket(AF_INET, SOCK_STREAM)
        (41, (2, 0x80002), ALLOW),  # socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC)
        (41, (2, 3), EPERM),  # socket(AF_INET, SOCK_RAW)
        (41, (10, 0x80003), EPERM),  # socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC)
        (41, (16, 3, 0), ALLOW),  # socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)
        (41, (16, 3, 9), EPERM),  # socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)
        (41, (17, 3), EAFNOSUPPORT),  # AF_PACKET
        (41, (40, 1), EAFNOSUPPORT),  # AF_VSOCK
        (41, (38, 5), EAFNOSUPPORT),  # AF_ALG
        (0x40000000 + 39, (), ENOSYS),  # an x32 call
    ],
)
def test_filter_on_x86_64_gives_the_verdict(
    number: int, arguments: tuple[int, ...], verdict: int
) -> None:
    assert judge(PROGRAM, number, *arguments) == verdict


@pytest.mark.parametrize(
    ("number", "arguments", "verdict"),
    [
        (63, (), ALLOW),  # read
        (40, (), EPERM),  # mount
        (117, (), EPERM),  # ptrace
        (435, (), ENOSYS),  # clone3
        (220, (0x11,), ALLOW),  # clone
        (220, (0x10000011,), EPERM),  # clone(CLONE_NEWUSER)
        (198, (2, 3), EPERM),  # socket(AF_INET, SOCK_RAW)
        (29, (0, 0x5412), EPERM),  # ioctl(TIOCSTI)
    ],
)
def test_filter_on_aarch64_gives_the_verdict(
    number: int, arguments: tuple[int, ...], verdict: int
) -> None:
    assert judge(ARM_PROGRAM, number, *arguments, arch=AARCH64) == verdict


def test_filter_under_a_foreign_architecture_kills() -> None:
    assert judge(PROGRAM, 0, arch=I386) == KILL_PROCESS
    assert judge(ARM_PROGRAM, 0, arch=X86_64) == KILL_PROCESS


def test_filter_terminates_for_every_call_number() -> None:
    for number in range(600):
        assert judge(PROGRAM, number) in {ALLOW, EPERM, ENOSYS, EAFNOSUPPORT}
    assert len(PROGRAM) % 8 == 0
    assert len(PROGRAM) // 8 < 4096


def test_unknown_machine_is_an_error() -> None:
    with pytest.raises(KeyError):
        assemble("riscv64")
