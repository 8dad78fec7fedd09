"""Keeping chains of layers short, in the background.

A snapshot returns with the chain it has, however long. When that is long, some layers below its top
are merged into one later, and the rows of all snapshots that stand on them are rewritten in one
transaction. Which, their weights say: small ones often, large ones seldom, so that every file is
copied only a few times however many snapshots follow. Desktops keep the chain they were booted on,
mounted as it is; what is captured of them later stands on the merged layer. A crash in between
leaves a layer without a row: the sweep's. A commit that failed, or nobody waited for, may yet be in
the registry: its layer stays until the next start, which reads what the rows say.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sentient_desktop.store.layers import CHAIN_LIMIT, LayerStore
from sentient_desktop.store.records import SnapshotRecord
from sentient_desktop.store.registry import Registry
from sentient_desktop.store.trees import failure, remove_tree, run_tool_kindly

Layers = tuple[str, ...]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """Layers that follow each other in a chain, lowest first."""

    layers: Layers
    bottom: bool
    """Whether nothing lies below them."""


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
        self._merging = asyncio.Lock()
        self._merged: dict[Layers, str] = {}
        self._unsure: set[str] = set()
        self._weights: dict[str, int] = {}
        self._waiting: asyncio.Queue[list[str]] = asyncio.Queue()

    def shorten(self, chain: list[str]) -> list[str]:
        """Return the same disk on fewer layers, as far as they have been merged already."""
        for run, name in self._merged.items():
            chain = _replace(chain, run, name)
        return chain

    def note(self, chain: list[str]) -> None:
        """Have a chain shortened later if it is long."""
        if len(chain) > CHAIN_LIMIT:
            self._waiting.put_nowait(chain)

    async def make_mountable(self, chain: list[str]) -> None:
        """Merge a chain now, as a whole, if it is too long to be mounted; then shorten() helps.

        The caller holds its layers.

        Raises:
            DiskError: it cannot be merged.
        """
        if len(self.shorten(chain)) > self._layers.longest_chain:
            await self._merge(lambda: Run(tuple(self.shorten(chain)[:-1]), bottom=True))

    def keep(self, wanted: set[str]) -> set[str]:
        """Return what else to keep beside the layers that rows name; forget the rest."""
        self._merged = {
            run: name for run, name in self._merged.items() if name in wanted or run[-1] in wanted
        }
        kept = {*self._merged.values(), *self._unsure}
        self._weights = {n: w for n, w in self._weights.items() if n in wanted or n in kept}
        return kept

    async def merge_forever(self, sweep: Callable[[], Awaitable[None]]) -> None:
        """Merge what was noted, one chain at a time, and sweep after each. Runs until cancelled."""
        while True:
            chain = await self._waiting.get()
            try:
                await self._weigh(chain)
                await self._merge(partial(self._choose, chain))
                await sweep()
            except Exception as error:  # noqa: BLE001 - one chain must not end the merging of all
                _log.error("a chain of layers stays as long as it is: %s", error)

    async def _weigh(self, chain: list[str]) -> None:
        for name in self.shorten(chain):
            if name not in self._weights:
                self._weights[name] = await asyncio.to_thread(self._layers.weigh, name)

    def _choose(self, chain: list[str]) -> Run:
        chain = self.shorten(chain)
        if len(chain) <= CHAIN_LIMIT:
            return Run((), bottom=False)
        start, end = choose_run([self._weights.get(name, 0) for name in chain])
        return Run(tuple(chain[start:end]), bottom=start == 0)

    async def _merge(self, choose: Callable[[], Run]) -> None:
        """Merge the run that is chosen when it is this one's turn; an empty one is no work."""
        async with self._merging:
            async with self._sweeping:
                run = choose()
                if not run.layers or not all(self._layers.path(n).is_dir() for n in run.layers):
                    return
                planned = self._layers.plan_merge(run.layers, bottom=run.bottom)
            name, unfinished, program = planned
            with self._layers.held([name, *run.layers]):
                try:
                    await _run(program)
                except BaseException:
                    await asyncio.shield(asyncio.to_thread(remove_tree, unfinished))
                    raise
                await asyncio.to_thread(self._layers.finish, name, unfinished)
                async with self._sweeping:
                    await self._swap(run.layers, name)

    async def _swap(self, run: Layers, name: str) -> None:
        changed = [
            replace(record, layers=layers)
            for record in self._snapshots.values()
            if (layers := _replace(record.layers, run, name)) != record.layers
        ]
        self._unsure.add(name)
        await asyncio.to_thread(self._registry.save, *changed)
        self._unsure.remove(name)
        self._snapshots.update((record.id, record) for record in changed)
        self._merged[run] = name


def choose_run(weights: Sequence[int]) -> tuple[int, int]:
    """Choose which layers of a long chain to merge, given what each weighs, the lowest first.

    Returns the index of the first and that after the last. The top is left out: no other chain has
    it yet. Below it half of the allowed length is taken, and then every further layer that is no
    heavier than what is being merged anyway.
    """
    end = len(weights) - 1
    start = max(0, end - CHAIN_LIMIT // 2)
    while start and weights[start - 1] <= sum(weights[start:end]):
        start -= 1
    return start, end


def _replace(chain: list[str], run: Layers, name: str) -> list[str]:
    """Return a chain with one layer in place of a run of others, if it has that run."""
    if run[0] not in chain:
        return chain
    start = chain.index(run[0])
    end = start + len(run)
    return [*chain[:start], name, *chain[end:]] if tuple(chain[start:end]) == run else chain


async def _run(program: list[str]) -> None:
    result = await run_tool_kindly(program)
    if result.returncode:
        raise failure("the layers of a disk could not be merged", result)
