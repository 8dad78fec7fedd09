"""Long chains of layers: merged in the background, swapped in one step, never half."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from sentient_desktop.store.chains import Chains, choose_run
from sentient_desktop.store.layers import CHAIN_LIMIT, LayerStore
from sentient_desktop.store.records import SnapshotRecord
from sentient_desktop.store.registry import Registry


class House:
    """A registry and a layer store with one snapshot on a chain of ``length`` layers."""

    def __init__(self, folder: Path, registry: Registry, length: int) -> None:
        self.registry = registry
        self.layers = LayerStore(folder / "layers")
        self.chain = [self._layer(folder, number) for number in range(length)]
        self.snapshots = {
            key: SnapshotRecord(key, "i1", "base", 1.0, layers=layers)
            for key, layers in (("whole", self.chain), ("below", self.chain[:-1]), ("one", []))
        }
        self.registry.save(*self.snapshots.values())
        self.sweeping = asyncio.Lock()
        self.swept = asyncio.Event()
        self.chains = Chains(registry, self.layers, self.snapshots, self.sweeping)

    def _layer(self, folder: Path, number: int) -> str:
        source = folder / f"source{number}"
        source.mkdir()
        (source / "all").write_text(str(number))
        (source / str(number)).touch()
        if number:
            os.mknod(source / str(number - 1), 0o020000, 0)
        name, unfinished = self.layers.copy_in(source)
        self.layers.finish(name, unfinished)
        return name

    async def sweep(self) -> None:
        wanted = {name for record in self.snapshots.values() for name in record.layers}
        self.layers.keep_only(wanted | self.chains.keep(wanted))
        self.swept.set()

    @asynccontextmanager
    async def merging(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.chains.merge_forever(self.sweep))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def rows(self) -> dict[str, list[str]]:
        return {record.id: record.layers for record in self.registry.snapshots()}

    def missing(self) -> set[str]:
        """Layers that rows in the registry or in memory name and that are not there."""
        records = [*self.registry.snapshots(), *self.snapshots.values()]
        named = {name for record in records for name in record.layers}
        return {name for name in named if not self.layers.path(name).is_dir()}


@pytest.fixture
def house(tmp_path: Path) -> Any:
    with closing(Registry(tmp_path / "registry.db")) as registry:
        yield House(tmp_path, registry, CHAIN_LIMIT + 1)


async def test_long_chain_is_swapped_for_a_short_one_in_all_rows(house: House) -> None:
    house.chains.note(house.chain)
    async with house.merging():
        await house.swept.wait()
    rows = house.rows()
    (merged,) = rows["below"]
    assert rows == {"whole": [merged, house.chain[-1]], "below": [merged], "one": []}
    assert {key: record.layers for key, record in house.snapshots.items()} == rows
    content = house.layers.path(merged)
    assert sorted(path.name for path in content.iterdir()) == [str(CHAIN_LIMIT - 1), "all"]
    assert (content / "all").read_text() == str(CHAIN_LIMIT - 1)
    assert {path.name for path in house.layers.folder.iterdir()} == {merged, house.chain[-1]}
    assert house.chains.shorten([*house.chain, "more"]) == [merged, house.chain[-1], "more"]
    assert house.chains.shorten(house.chain[:3]) == house.chain[:3]


async def test_chain_within_the_limit_is_left_alone(house: House) -> None:
    house.chains.note(house.chain[:-1])
    async with house.merging():
        await asyncio.sleep(0.1)
    assert not house.swept.is_set()
    assert house.rows()["whole"] == house.chain


async def test_merge_that_is_cut_off_changes_no_row_and_leaves_no_layer(house: House) -> None:
    before = house.rows()
    house.chains.note(house.chain)
    async with house.merging():
        while len(list(house.layers.folder.iterdir())) == len(house.chain):
            await asyncio.sleep(0.001)
    assert house.rows() == before
    assert {path.name for path in house.layers.folder.iterdir()} == set(house.chain)


async def test_merged_layer_is_forgotten_with_the_last_that_stands_on_it(house: House) -> None:
    house.chains.note(house.chain)
    async with house.merging():
        await house.swept.wait()
    house.snapshots.clear()
    await house.sweep()
    assert list(house.layers.folder.iterdir()) == []
    assert house.chains.shorten(house.chain) == house.chain


async def test_merge_that_fails_leaves_the_chain_as_it_is(house: House) -> None:
    layer = house.layers.path(house.chain[3])
    (layer / "all").unlink()
    layer.rename(layer.with_name("elsewhere"))
    layer.write_text("not a folder")
    house.chains.note(house.chain)
    before = house.rows()
    async with house.merging():
        await asyncio.sleep(0.3)
    assert house.rows() == before


async def test_merge_whose_commit_was_reported_as_failed_keeps_the_layer_rows_may_name(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, tried = house.registry.save, asyncio.Event()
    loop = asyncio.get_running_loop()

    def commit_and_fail(*records: SnapshotRecord) -> None:
        save(*records)
        loop.call_soon_threadsafe(tried.set)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(house.registry, "save", commit_and_fail)
    house.chains.note(house.chain)
    async with house.merging():
        await tried.wait()
        await asyncio.sleep(0.1)
    await house.sweep()
    assert house.rows()["whole"] != house.chain
    assert house.missing() == set()


async def test_merge_cancelled_while_it_commits_keeps_the_layer_rows_may_name(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, begun, ended = house.registry.save, asyncio.Event(), asyncio.Event()
    loop, cancelled = asyncio.get_running_loop(), threading.Event()

    def commit_late(*records: SnapshotRecord) -> None:
        loop.call_soon_threadsafe(begun.set)
        cancelled.wait()
        save(*records)
        loop.call_soon_threadsafe(ended.set)

    monkeypatch.setattr(house.registry, "save", commit_late)
    house.chains.note(house.chain)
    async with house.merging():
        await begun.wait()
    await house.sweep()
    cancelled.set()
    await ended.wait()
    assert house.rows()["whole"] != house.chain
    assert house.missing() == set()


async def test_heavy_layer_at_the_bottom_is_not_merged_with_light_ones(house: House) -> None:
    bottom = house.layers.path(house.chain[0])
    for number in range(200):
        (bottom / f"more{number}").touch()
    house.chains.note(house.chain)
    async with house.merging():
        await house.swept.wait()
    below, merged = house.rows()["below"]
    assert below == house.chain[0]
    whiteouts = [path for path in house.layers.path(merged).iterdir() if path.is_char_device()]
    assert "0" in [path.name for path in whiteouts]


async def test_chain_too_long_to_be_mounted_is_merged_on_demand(tmp_path: Path) -> None:
    with closing(Registry(tmp_path / "registry.db")) as registry:
        house = House(tmp_path, registry, 2 * CHAIN_LIMIT + 3)
        await house.chains.make_mountable(house.chain)
        assert len(house.chains.shorten(house.chain)) == 2
        assert house.rows()["whole"] == house.chains.shorten(house.chain)
        await house.chains.make_mountable(house.chains.shorten(house.chain))
        assert len(house.rows()["whole"]) == 2


@pytest.mark.parametrize("changed_each_time", [True, False])
def test_merging_copies_each_file_a_few_times_however_many_snapshots_follow(
    changed_each_time: bool,
) -> None:
    weights, copied, longest, snapshots = [5000], 0, 0, 5000
    for _ in range(snapshots):
        weights.append(5)
        if len(weights) > CHAIN_LIMIT:
            start, end = choose_run(weights)
            copied += sum(weights[start:end])
            merged = sum(weights[start:end]) if changed_each_time else max(weights[start:end])
            weights[start:end] = [merged]
        longest = max(longest, len(weights))
    assert longest <= CHAIN_LIMIT + 1
    assert copied / snapshots < 8 * 5
