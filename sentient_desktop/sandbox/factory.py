"""From a desktop's folder to its jail: fills in what is the same for every desktop of a server."""

import uuid
from collections.abc import Sequence
from pathlib import Path

from sentient_desktop.sandbox.argv import (
    CONTROL_FD,
    Jail,
    OverlayRoot,
    PlainRoot,
    find_masked,
    find_proc_secrets,
    find_top_dirs,
)
from sentient_desktop.sandbox.bubblewrap import chosen_program
from sentient_desktop.sandbox.runtime import INTERPRETER, START_AGENT, Template
from sentient_desktop.settings import Limits
from sentient_desktop.store.layers import LayerStore


class JailFactory:
    """Makes jails from one template, one layer store and one set of limits."""

    def __init__(self, template: Template, layers: LayerStore, limits: Limits) -> None:
        self._template = template
        self._layers = layers
        self._limits = limits
        self._top_dirs = find_top_dirs()
        self._masked = find_masked()
        self._proc_secrets = find_proc_secrets()

    def make(
        self, home: Path, layers: Sequence[str], *, overlay: bool, packages: Path | None = None
    ) -> Jail:
        """Describe the jail of the desktop whose files are in ``home``, over the named layers.

        ``packages`` is the package layer of its template. Writes the id of this boot to a file in
        ``home``: the host's own would tell desktops of one machine apart from those of another,
        and a desktop's reboots not at all.
        """
        interpreter = self._template.interpreter
        root: OverlayRoot | PlainRoot = PlainRoot(str(home / "root"))
        if overlay:
            # An empty layer below, because overlayfs wants at least one.
            below = [str(self._layers.empty), *(str(self._layers.path(name)) for name in layers)]
            root = OverlayRoot(below, str(home / "upper"), str(home / "work"))
        boot_id = home / "boot_id"
        boot_id.write_text(f"{uuid.uuid4()}\n")
        limits = self._limits
        return Jail(
            bwrap=chosen_program(),
            root=root,
            etc=str(self._template.etc),
            desktop=str(self._template.desktop),
            python_prefix=interpreter.prefix,
            packages=str(packages) if packages else None,
            usr_local=interpreter.usr_local,
            site_packages=interpreter.site_packages,
            top_dirs=self._top_dirs,
            masked=self._masked,
            proc_secrets=self._proc_secrets,
            boot_id=str(boot_id),
            shm_bytes=limits.shm_bytes,
            command=(
                *(INTERPRETER, "-I", "-S", "-E", "-c", START_AGENT, str(CONTROL_FD)),
                *(
                    str(limits.processes),
                    str(limits.open_files),
                    str(min(limits.file_bytes, limits.disk_bytes)),
                ),
            ),
        )
