"""Does this machine allow the isolation desktops need? Asked with the exact final command line.

A check of kernel settings would be a guess; the only honest answer is to boot a jail. The probe
also decides how desktops keep their files: as overlay layers, or as plain copies where overlayfs
is refused (typically when the data folder itself lies on an overlay, inside a container).
"""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sentient_desktop.errors import BootError, ProbeError
from sentient_desktop.sandbox.boot import Spawner
from sentient_desktop.sandbox.bubblewrap import choose, find_programs
from sentient_desktop.sandbox.factory import JailFactory
from sentient_desktop.sandbox.remedies import explain
from sentient_desktop.sandbox.runtime import ensure_template
from sentient_desktop.sandbox.uids import desktop_uids
from sentient_desktop.settings import Limits
from sentient_desktop.store.layers import LayerStore, make_folder, make_skeleton
from sentient_desktop.store.trees import remove_tree


@dataclass(frozen=True)
class ProbeReport:
    """What this machine offers desktops."""

    ok: bool
    overlay: bool
    """Whether snapshots are overlay layers (True) or full copies (False)."""
    detail: str
    """One line: how desktops will run, or what refused them and what to do."""
    uids: range | None = None
    """Host uids for desktops, one each, when the server is root."""
    program: str = ""
    """The bubblewrap that passed."""


async def _boot_once(
    spawner: Spawner, factory: JailFactory, folder: Path, uids: range | None, *, overlay: bool
) -> None:
    """Boot and end one jail; as root, over a layer that another uid wrote.

    Raises:
        BootError: it was refused.
    """
    home = folder / "probe"
    remove_tree(home)  # of a server that was killed here
    uid, writer = (uids[-1], uids[-2]) if uids else (None, None)
    try:
        for place, owner in (
            (home, uid), (home / "upper", uid), (home / "work", uid), (home / "layer", writer),
        ):  # fmt: skip
            make_folder(place, owner)
        make_skeleton(home / "layer", writer)
        (home / "upper").rename(home / ("upper" if overlay else "root"))
        make_skeleton(home / ("upper" if overlay else "root"), uid)
        jail = await spawner.boot(
            factory.make(home, [str(home / "layer")] if overlay else [], overlay=overlay),
            uid=uid,
            log=folder / "probe.log",
            on_exit=lambda _pid, _status: None,
        )
        await jail.stop()
    finally:
        remove_tree(home)


async def probe_with(spawner: Spawner, factory: JailFactory, folder: Path) -> ProbeReport:
    """Try jails on ``folder`` until one boots: overlay before copies, the wheel's program first.

    What passed is what desktops will use; the choice of the program is made for this process.
    """
    complaints: list[str] = []
    try:
        uids = desktop_uids()
    except ProbeError as error:
        return ProbeReport(False, False, str(error))
    for program in find_programs():
        choose(program)
        for overlay in (True, False):
            try:
                await _boot_once(spawner, factory, folder, uids, overlay=overlay)
            except BootError as error:
                complaints.append(str(error))
                continue
            kind = "overlay layers" if overlay else f"full copies ({complaints[-1]})"
            detail = f"desktops run isolated; snapshots are {kind}"
            return ProbeReport(True, overlay, detail, uids, program)
    return ProbeReport(False, False, explain(complaints[0]))


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
