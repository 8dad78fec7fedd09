"""Contract: snapshots of the filesystem, forks, and templates that can be looked up."""

from typing import Any
from uuid import uuid4

import e2b
import pytest
from e2b import AsyncSandbox, AsyncTemplate


async def test_snapshot_is_a_template_of_the_files_at_that_moment(
    create: Any, desktop: AsyncSandbox, options: dict[str, Any]
) -> None:
    await desktop.files.write("f", "then")
    snapshot = await desktop.create_snapshot(mode="filesystem")
    await desktop.files.write("f", "now")
    copy = await create(snapshot.snapshot_id)
    assert await copy.files.read("f") == "then"
    await copy.files.write("f", "mine")
    assert await desktop.files.read("f") == "now"
    await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **options)


async def test_snapshot_without_a_mode_keeps_the_files(
    create: Any, desktop: AsyncSandbox, options: dict[str, Any]
) -> None:
    await desktop.files.write("f", "kept")
    snapshot = await desktop.create_snapshot()
    assert await (await create(snapshot.snapshot_id)).files.read("f") == "kept"
    await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **options)


async def test_snapshots_are_listed_by_sandbox_and_by_name(
    desktop: AsyncSandbox, options: dict[str, Any]
) -> None:
    name = f"contract-{uuid4().hex}"
    named = await desktop.create_snapshot(name, mode="filesystem")
    plain = await desktop.create_snapshot(mode="filesystem")
    assert any(name in item for item in named.names)
    of_sandbox = await desktop.list_snapshots().next_items()
    assert {s.snapshot_id for s in of_sandbox} == {named.snapshot_id, plain.snapshot_id}
    of_name = await AsyncSandbox.list_snapshots(name=name, **options).next_items()
    assert [s.snapshot_id for s in of_name] == [named.snapshot_id]
    pages = AsyncSandbox.list_snapshots(sandbox_id=desktop.sandbox_id, limit=1, **options)
    assert len(await pages.next_items()) == 1
    assert pages.has_next
    for snapshot in (named, plain):
        assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **options)


async def test_snapshot_deleted_is_gone_but_its_copies_live(
    create: Any, desktop: AsyncSandbox, options: dict[str, Any]
) -> None:
    await desktop.files.write("f", "x")
    snapshot = await desktop.create_snapshot(mode="filesystem")
    copy = await create(snapshot.snapshot_id)
    assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **options)
    assert not await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **options)
    assert await copy.files.read("f") == "x"
    with pytest.raises(e2b.SandboxException):
        await create(snapshot.snapshot_id)


async def test_template_exists_says_so_of_built_in_ones_only(options: dict[str, Any]) -> None:
    assert await AsyncTemplate.exists("base", **options)
    assert not await AsyncTemplate.exists(f"nobody-{uuid4().hex}", **options)
