"""The same attacks with one wall removed, each in a jail of its own; run as a program.

``python canaries.py FOLDER TEMPLATES`` prints {wall: {attempt: outcome}}. It runs as whatever user
a mode runs its server as; the attempts are pid 1 of the jail, so there is no agent either.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sentient_desktop.errors import BootError
from sentient_desktop.sandbox import argv as command_line
from sentient_desktop.sandbox import boot
from sentient_desktop.sandbox.argv import Jail
from sentient_desktop.sandbox.boot import Spawner
from sentient_desktop.sandbox.factory import JailFactory
from sentient_desktop.sandbox.runtime import ensure_template
from sentient_desktop.sandbox.uids import desktop_uids
from sentient_desktop.settings import Limits
from sentient_desktop.store.layers import LayerStore, make_folder, make_skeleton

HERE = Path(__file__).parent
PLACE = json.loads(os.environ["ATTEMPT_PLACE"])
Change = Callable[[list[str]], list[str]]


def without(argv: list[str], *options: str) -> list[str]:
    """Drop options that take no operand."""
    return [word for word in argv if word not in options]


def without_pair(argv: list[str], *pair: str) -> list[str]:
    """Drop the first run of words that equals ``pair``."""
    for start in range(len(argv)):
        if tuple(argv[start : start + len(pair)]) == pair:
            return argv[:start] + argv[start + len(pair) :]
    raise AssertionError(f"{pair} is not part of the command line")


def adding(argv: list[str], *options: str) -> list[str]:
    end = argv.index("--chdir")
    return [*argv[:end], *options, *argv[end:]]


def no_privileges_dropped(argv: list[str]) -> list[str]:
    """Root of the namespaces: as another user bubblewrap would put a second one in between."""
    argv = without_pair(without_pair(argv, "--cap-drop", "ALL"), "--seccomp", "4")
    for option in ("--uid", "--gid"):
        argv = without_pair(argv, option, str(command_line.GUEST_UID))
    return adding(
        without(argv, "--disable-userns", "--assert-userns-disabled"),
        "--uid",
        "0",
        "--gid",
        "0",
        "--cap-add",
        "ALL",
    )


def host_pids(argv: list[str]) -> list[str]:
    argv = without_pair(argv, "--proc", "/proc")
    argv = without(argv, "--unshare-pid", "--as-pid-1")
    place = argv.index("/proc/sys") - 1
    return [*argv[:place], "--ro-bind", "/proc", "/proc", *argv[place:]]


def writable_binds(argv: list[str]) -> list[str]:
    return ["--bind" if word == "--ro-bind" else word for word in argv]


WALLS: dict[str, Change] = {
    "no filter": lambda argv: without_pair(argv, "--seccomp", "4"),
    "no privileges": no_privileges_dropped,
    "host network": lambda argv: without(argv, "--unshare-net"),
    "host pids": host_pids,
    "host folder": lambda argv: adding(argv, "--ro-bind", PLACE["shared"], PLACE["shared"]),
    "host etc": lambda argv: adding(argv, "--ro-bind", "/etc", "/etc"),
    "host run": lambda argv: adding(argv, "--ro-bind", "/run", "/run"),
    "host sys": lambda argv: adding(argv, "--ro-bind", "/sys", "/sys"),
    "host dev": lambda argv: adding(argv, "--dev-bind", "/dev", "/dev"),
    "host environment": lambda argv: adding(argv, "--setenv", "PLANTED", "1"),
    "writable binds": writable_binds,
    "writable knobs": lambda argv: without_pair(argv, "--ro-bind", "/proc/sys", "/proc/sys"),
    "open descriptor": lambda argv: argv,
    "no agent": lambda argv: argv,
    "no masks": lambda argv: argv,
    "no covers": lambda argv: argv,
    "large memory folders": lambda argv: argv,
}
FIELDS: dict[str, dict[str, Any]] = {
    "no masks": {"masked": ()},
    "no covers": {"proc_secrets": ()},
    "large memory folders": {"shm_bytes": 2 << 30},
}
"""Walls that are a field of the jail rather than an option of its command line."""

OPEN_ONE = ("/bin/sh", "-c", 'exec 9</etc/passwd; exec "$@"', "sh")


def prepare(folder: Path, uid: int | None) -> Path:
    """Make a desktop's folder with the attempts in it; plain, so that no overlay is needed."""
    home = folder / "desk"
    make_folder(home, uid)
    make_folder(home / "root", uid)
    make_skeleton(home / "root", uid)
    shutil.copytree(HERE / "attempts", home / "root/workspace/attempts")
    return home


def attempts_jail(jail: Jail, wall: str) -> Jail:
    """Make the attempts of one wall the jail's pid 1, reporting to its log."""
    command = (jail.command[0], "-W", "ignore", "-B", "-m", "attempts", "2", wall)
    prefix = OPEN_ONE if wall == "open descriptor" else ()
    return replace(jail, command=(*prefix, *command), **FIELDS.get(wall, {}))


async def breach(spawner: Spawner, jail: Jail, wall: str, uid: int | None, log: Path) -> Any:
    """Boot one jail without the wall. It is no agent, so the boot fails once it is done."""
    environment = ("--setenv", "PYTHONPATH", "/workspace", "--setenv", "ATTEMPT_PLACE",
                   os.environ["ATTEMPT_PLACE"])  # fmt: skip
    boot.build_argv = lambda staged: adding(
        WALLS[wall](command_line.build_argv(staged)), *environment
    )
    with suppress(BootError):
        await spawner.boot(
            attempts_jail(jail, wall), uid=uid, log=log, on_exit=lambda _pid, _status: None
        )
    lines = log.read_text(errors="replace").splitlines()
    found = [line for line in lines if line.startswith("{")]
    return json.loads(found[-1]) if found else {"the jail itself": lines}


async def breach_all(folder: Path, templates: Path) -> dict[str, Any]:
    folder.mkdir(mode=0o700, parents=True)
    spawner = Spawner.start(folder / "log")
    uids = desktop_uids()
    uid = uids[-3] if uids else None
    home = prepare(folder, uid)
    factory = JailFactory(ensure_template(templates), LayerStore(folder / "l"), Limits())
    jail = factory.make(home, [], overlay=False)
    try:
        return {wall: await breach(spawner, jail, wall, uid, folder / "boot.log") for wall in WALLS}
    finally:
        spawner.close()


if __name__ == "__main__":
    report = asyncio.run(breach_all(Path(sys.argv[1]), Path(sys.argv[2])))
    sys.stdout.write(json.dumps(report))
