"""Does this machine allow the isolation desktops need? Asked with the exact final command line.

A check of kernel settings would be a guess; the only honest answer is to boot a jail. The probe
also decides how desktops keep their files: as overlay layers, or as plain copies where overlayfs
is refused (typically when the data folder itself lies on an overlay, inside a container).
"""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sentient_desktop.errors import BootError, ProbeError
from sentient_desktop.sandbox.boot import Spawner
from sentient_desktop.sandbox.factory import JailFactory
from sentient_desktop.sandbox.runtime import ensure_template, host_is_root
from sentient_desktop.settings import Limits
from sentient_desktop.store.layers import LayerStore, make_folder, make_skeleton
from sentient_desktop.store.registry import FIRST_UID
from sentient_desktop.store.trees import remove_tree

_REMEDIES = (
    ("uid map", "AppArmor restricts user namespaces: allow `userns` for the bwrap binary, or set "
     "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("RTM_NEWADDR", "AppArmor restricts user namespaces: allow `userns` for the bwrap binary"),
    ("No space left", "user namespaces are used up or disabled: raise user.max_user_namespaces"),
    ("creating new namespace", "user namespaces are disabled or forbidden by a container's seccomp "
     "profile: enable them (kernel.unprivileged_userns_clone=1, user.max_user_namespaces) or run "
     "the container with a profile that allows them"),
    ("mount proc", "the container masks /proc: run it with an unmasked /proc"),
    ("CLONE_NEWNS", "root without CAP_SYS_ADMIN: run the server as an ordinary user instead"),
    ("setgroups", "root without CAP_SETUID/CAP_SETGID: run the server as an ordinary user"),
)  # fmt: skip


@dataclass(frozen=True)
class ProbeReport:
    """What this machine offers desktops."""

    ok: bool
    overlay: bool
    """Whether snapshots are overlay layers (True) or full copies (False)."""
    detail: str
    """One line: how desktops will run, or what refused them and what to do."""


def explain(message: str) -> str:
    """Turn bubblewrap's complaint into one line that names cause and remedy."""
    for needle, remedy in _REMEDIES:
        if needle.lower() in message.lower():
            return f"{message} - {remedy}"
    return f"{message} - this machine refused an isolated desktop; see the line for the call"


async def probe_with(spawner: Spawner, factory: JailFactory, folder: Path) -> ProbeReport:
    """Boot and end one jail on ``folder``, with an overlay root first, then with a plain one."""
    message = ""
    for overlay in (True, False):
        home = folder / f"probe-{os.getpid()}"
        remove_tree(home)
        uid = FIRST_UID - 1 if host_is_root() else None
        make_folder(home, uid)
        for name in ("upper", "work", "root"):
            make_folder(home / name, uid)
        make_skeleton(home / ("upper" if overlay else "root"), uid)
        try:
            jail = await spawner.boot(
                factory.make(home, [], overlay=overlay),
                uid=uid,
                log=folder / "probe.log",
                on_exit=lambda _pid, _status: None,
            )
            await jail.stop()
        except BootError as error:
            message = message or str(error)
        else:
            kind = "overlay layers" if overlay else "full copies (overlayfs is refused here)"
            return ProbeReport(True, overlay, f"desktops run isolated; snapshots are {kind}")
        finally:
            remove_tree(home)
    return ProbeReport(False, False, explain(message))


async def _probe(folder: Path) -> ProbeReport:
    factory = JailFactory(ensure_template(folder / "t"), LayerStore(folder / "l"), Limits())
    spawner = Spawner.start(folder / "log")
    try:
        return await probe_with(spawner, factory, folder)
    finally:
        spawner.close()


def probe() -> ProbeReport:
    """Boot and end one jail in a temporary folder; blocks for a few seconds. Never raises."""
    with tempfile.TemporaryDirectory(prefix="sentient-probe-") as name:
        try:
            return asyncio.run(_probe(Path(name)))
        except (OSError, ProbeError) as error:
            return ProbeReport(False, False, explain(str(error)))
