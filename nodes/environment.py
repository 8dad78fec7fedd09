"""The environment of a repository's tests: installed once, kept as a snapshot, found again.

Two keys, because what ran code of the repository may serve that very repository only:
what comes from indexes is kept by the requirements, the package itself by all of its source.
Both are made in desktops that no model touched, from the source as it was given.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from nodes import events
from nodes.context import Step
from nodes.state import Environment, State, Status
from tools.desktop import Desktop
from tools.environment.indexes import Index, configured_indexes, configured_registry
from tools.environment.installing import (
    Found,
    Installer,
    InstallFailedError,
    is_usable,
    keep_environment_only,
    make_environment,
)
from tools.environment.plan import FORMAT, MANIFEST, Plan, plan_install
from tools.environment.relay import relayed
from tools.environment.service import PackageService
from tools.errors import DesktopGoneError, UsageError
from tools.repository import install_repository
from tools.source import Packed

OFF = "none"
"""In place of a command: nothing is to be installed."""

ROLE = "environment"
STEPS = 8
"""How many steps of installing, each with its own limit of time, one desktop may see."""

DETAIL_LIMIT = 4000

Work = Callable[[Desktop, Installer], Awaitable[None]]


async def find_environment(state: State, step: Step, packed: Packed, scratch: Path) -> Environment:
    """The environment for a source: one that is kept, or one that is made now.

    What cannot be installed is no error: `detail` says why, and the baseline shows what it means.
    """
    command = state.get("install") or ("" if step.settings.install else OFF)
    if command == OFF:
        return _made("off")
    begun = time.monotonic()
    # not through the sink, which would take the passwords out of the addresses
    indexes = await asyncio.to_thread(configured_indexes, step.settings)
    if not indexes:
        raise UsageError("no package index is configured that is a web server")
    registry = await asyncio.to_thread(configured_registry, step.settings)
    making = _Making(step, packed, scratch, command, indexes, registry)
    environment = await making.find() or await making.make()
    environment["seconds"] = round(time.monotonic() - begun, 3)
    step.emit(events.Environment(**environment))
    return environment


async def first_desktop(step: Step, environment: Environment) -> Desktop:
    """The thread's desktop with its environment.

    Raises:
        DesktopGoneError: the environment is of no use any more; it is forgotten, so that the node
            makes another one when it runs again.
    """
    layer = environment["layer"]
    if not layer:
        return await step.desktop()
    with suppress(DesktopGoneError):
        desktop = await step.first_desktop(layer)
        if await is_usable(desktop):
            return desktop
    await step.record(step.services.ledger.environments.forget, layer)
    raise DesktopGoneError("the environment that was kept is gone, or of another Python")


def _made(
    status: Status, layer: str = "", said: Sequence[str] = (), *, known: bool = False
) -> Environment:
    detail = "\n".join(said)[:DETAIL_LIMIT]
    return Environment(status=status, layer=layer, detail=detail, seconds=0.0, known=known)


class _Making:
    """One source, one set of indexes, one way to install."""

    def __init__(
        self,
        step: Step,
        packed: Packed,
        scratch: Path,
        command: str,
        indexes: Sequence[Index],
        registry: Index,
    ) -> None:
        self._step, self._packed, self._scratch = step, packed, scratch
        self._command, self._indexes, self._registry = command, indexes, registry
        self._environments = step.services.ledger.environments
        self._server = step.services.desktops.server
        self._troubles: list[str] = []
        self._source_key = self._key("source", packed.digest, command)

    async def find(self) -> Environment | None:
        """The environment that was made for the very same source, if it is kept."""
        known = await self._known(self._source_key)
        return None if known is None else _made("ready" if known else "none", known, known=True)

    def _key(self, *parts: str) -> str:
        template = self._step.services.desktops.template
        urls = [index.url for index in (*self._indexes, self._registry)]
        text = json.dumps([FORMAT, template, urls, *parts])
        return hashlib.sha256(text.encode()).hexdigest()

    async def _known(self, key: str) -> str | None:
        """The snapshot that is kept under a key, empty for none needed; None when not known."""
        found: str | None = await self._step.record(self._environments.find, key, self._server)
        return found

    async def _keep(self, key: str, snapshot: str, begun: float) -> None:
        await self._step.record(
            self._environments.save,
            key,
            self._server,
            snapshot,
            thread=self._step.thread,
            seconds=round(time.monotonic() - begun, 3),
        )

    async def make(self) -> Environment:
        """Install in fresh desktops, step on step."""
        begun, names = time.monotonic(), self._packed.names
        if not self._command and names is not None and not any(map(MANIFEST.fullmatch, names)):
            return _made("none")
        if self._command:
            plan = Plan()
            layer: str | None = await self._in_place(plan, "")
        else:
            found = await self._look()
            plan = plan_install(found.manifests)
            self._step.emit(events.Installing(packages=plan.count))
            layer = await self._dependencies(plan, found)
            if plan.package and layer is not None:
                layer = await self._in_place(plan, layer)
        if self._troubles:
            status: Status = "partial" if layer else "failed"
            return _made(status, layer or "", [*self._troubles, *plan.left_out])
        await self._keep(self._source_key, layer or "", begun)
        return _made("ready" if layer else "none", layer or "", plan.left_out)

    async def _look(self) -> Found:
        async with self._step.short_lived(ROLE) as desktop:
            await install_repository(desktop, self._packed)
            return await make_environment(desktop)

    async def _dependencies(self, plan: Plan, found: Found) -> str | None:
        """The layer with what comes from indexes, empty for none; None when there can be none."""
        wanted = [*plan.required, *plan.testing]
        if not (wanted or plan.node):
            return ""
        key = self._key("indexes", plan.digest, found.python, found.machine)
        known = await self._known(key)
        if known is not None:
            return known
        begun = time.monotonic()

        async def install(_: Desktop, installer: Installer) -> None:
            try:
                if wanted:
                    await installer.install(wanted, plan.constraints)
            except InstallFailedError as error:
                if not (plan.required and plan.testing):
                    raise
                await installer.install(plan.required, plan.constraints)
                self._troubles.append(f"what tests need beside the package: {error}")
            try:
                await installer.install_node(plan.node)
            except InstallFailedError as error:
                if not wanted:
                    raise
                self._troubles.append(f"what package.json asks for: {error}")

        layer = await self._layer("", install)
        if layer is not None and not self._troubles:
            await self._keep(key, layer, begun)
        return layer

    async def _in_place(self, plan: Plan, base: str) -> str:
        """The layer with the repository itself, or what the command makes of it, on `base`."""

        async def install(desktop: Desktop, installer: Installer) -> None:
            await install_repository(desktop, self._packed)
            if self._command:
                await installer.run(self._command)
            else:
                await installer.install_package(plan)

        layer = await self._layer(base, install)
        return base if layer is None else layer

    async def _layer(self, base: str, work: Work) -> str | None:
        """A snapshot of `base` with what `work` installs; None, and a trouble, if that fails."""
        try:
            return await self._install(base, work)
        except DesktopGoneError:  # perhaps the base is: then it is made when the node runs again
            if base:
                await self._step.record(self._environments.forget, base)
            raise

    async def _install(self, base: str, work: Work) -> str | None:
        timeout_s = self._step.settings.install_timeout_s
        async with self._step.short_lived(ROLE, base) as desktop:
            await make_environment(desktop)
            async with (
                PackageService(self._indexes, self._registry, self._scratch) as service,
                relayed(desktop, service.answer, timeout_s=STEPS * timeout_s) as address,
            ):
                service.address = address
                installer = Installer(desktop, address, self._indexes, timeout_s=timeout_s)
                await installer.bring_uv()
                try:
                    await work(desktop, installer)
                except InstallFailedError as error:
                    self._troubles += [*service.troubles, str(error)]
                    return None
            await keep_environment_only(desktop)
            return await self._step.snapshot(desktop)
