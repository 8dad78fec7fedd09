"""Keeping chains of layers short, in the background.

A snapshot returns with the chain it has. When that is long, everything below its top is merged
into one layer later, and the rows of all snapshots that stand on it are rewritten in one
transaction. Desktops keep the chain they were booted on, mounted as it is; what is captured of them
later stands on the merged layer. A crash in between leaves a layer without a row: the sweep's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sentient_desktop.store.layers import CHAIN_LIMIT, LayerStore
from sentient_desktop.store.registry import Registry, SnapshotRecord
from sentient_desktop.store.trees import failure, remove_tree, run_tool_kindly

Chain = tuple[str, ...]

_log = logging.getLogger(__name__)


class Chains:
    """What was merged and what is to be. ``sweeping`` is held while rows and layers change."""

    def __init__(
        self,
        registry: Registry,
        layers: LayerStore,
        snapshots: dict[str, SnapshotRecord],
        sweeping: asyncio.Lock,
    ) -> None:
        self._registry = registry
        self._layers = layers
        self._snapshots = snapshots
        self._sweeping = sweeping
        self._merged: dict[Chain, str] = {}
        self._waiting: asyncio.Queue[Chain] = asyncio.Queue()

    def shorten(self, chain: list[str]) -> list[str]:
        """Return the same disk on fewer layers, as far as they have been merged already."""
        known = [below for below in self._merged if tuple(chain[: len(below)]) == below]
        if not known:
            return chain
        longest = max(known, key=len)
        return [self._merged[longest], *chain[len(longest) :]]

    def note(self, chain: list[str]) -> None:
        """Have a chain shortened later if it is long."""
        if len(chain) > CHAIN_LIMIT:
            self._waiting.put_nowait(tuple(chain[:-1]))

    def keep(self, wanted: set[str]) -> set[str]:
        """Return what else to keep beside the layers that rows name; forget the rest."""
        self._merged = {
            below: name
            for below, name in self._merged.items()
            if name in wanted or below[-1] in wanted
        }
        return set(self._merged.values())

    async def merge_forever(self, sweep: Callable[[], Awaitable[None]]) -> None:
        """Merge what was noted, one chain at a time, and sweep after each. Runs until cancelled."""
        while True:
            below = await self._waiting.get()
            try:
                await self._merge(below)
                await sweep()
            except Exception as error:  # noqa: BLE001 - one chain must not end the merging of all
                _log.error("a chain of layers stays as long as it is: %s", error)

    async def _merge(self, below: Chain) -> None:
        async with self._sweeping:
            if below in self._merged or not all(self._layers.path(n).is_dir() for n in below):
                return
            name, unfinished, program = self._layers.plan_merge(below)
        with self._layers.held([name, *below]):
            try:
                await _run(program)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(remove_tree, unfinished))
                raise
            await asyncio.to_thread(self._layers.finish, name, unfinished)
            async with self._sweeping:
                await self._swap(below, name)

    async def _swap(self, below: Chain, name: str) -> None:
        changed = [
            replace(record, layers=[name, *record.layers[len(below) :]])
            for record in self._snapshots.values()
            if tuple(record.layers[: len(below)]) == below
        ]
        await asyncio.to_thread(self._registry.save, *changed)
        self._snapshots.update((record.id, record) for record in changed)
        self._merged[below] = name


async def _run(program: list[str]) -> None:
    result = await run_tool_kindly(program)
    if result.returncode:
        raise failure("the layers of a disk could not be merged", result)
