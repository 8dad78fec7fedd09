"""Nothing gets out: a matrix of attempts with their expected ends, and canaries for walls."""

import json
import os
import platform
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox

from sentient_desktop import Endpoint
from sentient_desktop.errors import BootError
from sentient_desktop.sandbox.argv import Jail
from sentient_desktop.sandbox.boot import RunningJail, Spawner
from sentient_desktop.sandbox.factory import JailFactory
from sentient_desktop.sandbox.probe import explain, probe_with
from sentient_desktop.sandbox.runtime import ensure_template
from sentient_desktop.settings import Limits
from sentient_desktop.store.layers import LayerStore, make_folder, make_skeleton

EXPECTED: dict[str, str | tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "shadow", "canary", "canary through pid 1", "oldroot", "sys", "var lib", "machine id",
        ),
        ("ENOENT", "EACCES"),
    ),
    "root home": "[]",
    "usr local": "[]",
    "run": "[]",
    **dict.fromkeys(("write usr", "write passwd", "write python", "preload"), ("EROFS", "EACCES")),
    "hardlink usr": ("EXDEV", "EPERM", "EROFS"),
    **dict.fromkeys(("rename usr", "rename opt", "rename proc"), "EBUSY"),
    "remove bin": "EBUSY",
    "pids": "True",
    "signal host pid": "ESRCH",
    "ptrace agent": "EPERM",
    **dict.fromkeys(("agent memory", "agent descriptors", "agent environ"), ("EACCES", "EPERM")),
    "process_vm_readv": "EPERM",
    "pidfd_getfd": "EPERM",
    "own descriptors": "[0, 1, 2]",
    "environment": "[]",
    **dict.fromkeys(("core_pattern", "panic_on_oom"), ("EROFS", "EACCES")),
    "sysrq": ("ENOENT", "EACCES", "EROFS"),
    **dict.fromkeys(("kcore", "kmsg"), ("EACCES", "EPERM", "ENOENT", "read 0")),
    **dict.fromkeys(("keys", "kallsyms", "cmdline"), ("EACCES", "read 0")),
    "syslog": "EPERM",
    **dict.fromkeys(
        (
            "mount", "remount", "umount", "fsopen", "open_tree", "move_mount", "pivot_root",
            "chroot", "unshare user", "unshare net", "clone user", "setns", "mknod block",
            "mknod mem", "open_by_handle",
        ),
        "EPERM",
    ),
    "clone3": "ENOSYS",
    "capabilities": "{'0000000000000000'}",
    "no_new_privs": "['1']",
    "seccomp mode": "['2']",
    "setuid 0": ("EPERM", "EINVAL"),
    "setgroups": "EPERM",
    "su": "True",
    "renice": ("EACCES", "EPERM"),
    "realtime": "EPERM",
    "raise limits": ("EPERM", "ValueError not allowed to raise maximum limit"),
    "oom score": "EACCES",
    "core limit": "(0, 0)",
    **dict.fromkeys(
        (
            "bpf", "perf", "userfaultfd", "keyctl", "add_key", "kexec", "init_module", "reboot",
            "settimeofday", "sethostname", "tiocsti", "raw", "netlink audit",
        ),
        "EPERM",
    ),
    "io_uring": "ENOSYS",
    "x32": "ENOSYS",
    "dev tty": "ENXIO",
    "host loopback": "ECONNREFUSED",
    "abstract socket": "ECONNREFUSED",
    "outside": "ENETUNREACH",
    **dict.fromkeys(("packet", "vsock", "alg"), "EAFNOSUPPORT"),
    # harmless twins
    "own file": "read 1",
    "own fifo": "None",
    "own namespaces": "True",
    "fork": "0",
    "netlink route": "opened",
    "read knob": "read 6",
    "lower limits": "None",
    "random": "8",
    "own loopback": "connected",
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("_x86_64")


@pytest.fixture(scope="module")
def _x86_64() -> None:
    assert platform.machine() == "x86_64", "the attempts carry x86_64 call numbers"


async def test_escape_attempts_all_end_as_expected(create: Any, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("host only")
    desktop = await create()
    source = Path(__file__).with_name("escapes.py").read_text()
    await desktop.files.write("/tmp/escapes.py", source)
    abstract = f"canary-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0" + abstract)
        unix.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            pass  # the canary sings outside
        command = f"python -W ignore /tmp/escapes.py {canary} {os.getpid()} {port} {abstract}"
        results = json.loads((await desktop.commands.run(command)).stdout)
    assert results.keys() == EXPECTED.keys()
    surprises = {name: result for name, result in results.items() if not _expected(name, result)}
    assert surprises == {}
    assert len(results) >= 40


def _expected(name: str, result: str) -> bool:
    wanted = EXPECTED[name]
    return result == wanted if isinstance(wanted, str) else result in wanted


async def test_setuid_file_of_a_guest_belongs_to_no_privileged_host_user(
    desktop: AsyncSandbox, data_dir: Path
) -> None:
    await desktop.commands.run("cp /bin/id suid-id; chmod 6755 suid-id")
    (found,) = (data_dir / "desktops" / desktop.sandbox_id).rglob("suid-id")
    assert found.stat().st_uid != 0
    assert found.stat().st_uid == (os.getuid() or found.parent.stat().st_uid)


async def test_two_desktops_are_different_host_users_when_the_server_is_root(
    create: Any, data_dir: Path
) -> None:
    owners = set()
    for _ in range(2):
        desktop = await create()
        folder = data_dir / "desktops" / desktop.sandbox_id
        (profile,) = folder.rglob("home/user/.profile")
        owners.add(profile.stat().st_uid)
    assert len(owners) == (2 if os.getuid() == 0 else 1)
    assert 0 not in owners


async def test_replaced_top_folders_do_not_redirect_a_later_boot(
    create: Any, desktop: AsyncSandbox
) -> None:
    """Whatever a guest does to the folders it owns, a cold boot mounts nothing through them."""
    await desktop.commands.run(
        "rm -rf /mnt /srv /root /var; ln -s /oldroot/etc /mnt; ln -s /oldroot/tmp /var;"
        "ln -s /oldroot/root /root; rm -rf /home/user/x; mv /workspace /w; ln -s / /workspace"
    )
    snapshot = await desktop.create_snapshot(mode="filesystem")
    copy = await create(snapshot.snapshot_id)
    assert (await copy.commands.run("readlink /mnt; id -u")).stdout == "/oldroot/etc\n1000\n"


async def test_fork_bomb_leaves_server_and_agent_working(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run(
        "bomb() { bomb | bomb & }; bomb; sleep 60", background=True, on_stderr=lambda _t: None
    )
    await desktop.files.write("still", "here")
    assert await desktop.files.read("still") == "here"
    await desktop.kill()
    await handle.disconnect()


@pytest.fixture
async def workshop(
    tmp_path: Path, server: Endpoint, data_dir: Path
) -> AsyncIterator[tuple[Spawner, JailFactory, Path]]:
    """What boots a jail without a server, below a folder only its owner may enter."""
    assert server  # it has built the template
    tmp_path.chmod(0o700)
    template = ensure_template(data_dir / "templates")
    factory = JailFactory(template, LayerStore(tmp_path / "l"), Limits())
    spawner = Spawner.start(tmp_path / "log")
    yield spawner, factory, tmp_path
    spawner.close()


def _uid() -> int | None:
    return 299_998 if os.getuid() == 0 else None


def _home(folder: Path) -> Path:
    home = folder / "desk"
    for path in (home, home / "upper", home / "work"):
        make_folder(path, _uid())
    make_skeleton(home / "upper", _uid())
    return home


async def _boot(spawner: Spawner, jail: Jail, home: Path) -> RunningJail:
    return await spawner.boot(
        jail, uid=_uid(), log=home.parent / "boot.log", on_exit=lambda _pid, _code: None
    )


async def test_probe_below_a_private_folder_reports_success(workshop: Any) -> None:
    spawner, factory, folder = workshop
    report = await probe_with(spawner, factory, folder)
    assert report.ok, report.detail
    assert not list(folder.glob("probe-*"))


async def test_boot_that_fails_says_why(workshop: Any) -> None:
    spawner, factory, folder = workshop
    home = _home(folder)
    jail = replace(factory.make(home, [], overlay=True), command=["/nowhere/program"])
    with pytest.raises(BootError, match="/nowhere/program"):
        await _boot(spawner, jail, home)


@pytest.mark.parametrize(
    ("removed", "finding"),
    [
        ({}, "keyctl=1 cmdline=0 local=0"),
        ({"seccomp": False}, "keyctl=0 cmdline=0 local=0"),
        ({"proc_secrets": ()}, "keyctl=1 cmdline=[1-9][0-9]* local=0"),
        ({"masked": ()}, "keyctl=1 cmdline=0 local=[1-9][0-9]*"),
    ],
    ids=["all walls", "no filter", "no covered files", "no masked folders"],
)
async def test_wall_removed_lets_its_canary_through(
    workshop: Any, removed: dict[str, Any], finding: str
) -> None:
    """The program is no agent, so the boot fails with the last line it wrote: its finding."""
    spawner, factory, folder = workshop
    program = (
        "import ctypes, os; c = ctypes.CDLL(None, use_errno=True); c.syscall(250, 0, -3, 0);"
        "k = ctypes.get_errno();\n"
        "try: f = len(open('/proc/cmdline').read())\n"
        "except PermissionError: f = 0\n"
        "d = len(os.listdir('/usr/local'))\n"
        "os.write(2, f'keyctl={k} cmdline={f} local={d}'.encode())"
    )
    home = _home(folder)
    jail = factory.make(home, [], overlay=True)
    jail = replace(jail, command=[jail.command[0], "-c", program], **removed)
    with pytest.raises(BootError, match=f"{finding}$"):
        await _boot(spawner, jail, home)


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("bwrap: setting up uid map: Permission denied", "AppArmor"),
        ("bwrap: No permissions to creating new namespace", "user namespaces"),
        ("bwrap: Can't mount proc on /newroot/proc", "/proc"),
    ],
)
def test_refusal_is_explained_in_one_line(message: str, word: str) -> None:
    explained = explain(message)
    assert explained.startswith(message)
    assert word in explained.removeprefix(message)
    assert "\n" not in explained
