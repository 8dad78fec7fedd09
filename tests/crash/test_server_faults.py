"""Every single storage call of the server fails once: each request still gets an answer it can
name, within seconds, and afterwards the server works and its registry agrees with the disk."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox
from faulty_server import ERRORS
from nursery import Nursery
from server_kills import left_over

from sentient_desktop.store.trees import remove_tree

WATCHDOG_S = 30
MOST = 400
"""More calls than the scenario makes."""


class Faulty:
    """A server with planted faults, started again when it must be."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "desktop"
        self.nursery = Nursery()
        self.options: dict[str, Any] = {}
        self.restarts = 0

    async def start(self) -> None:
        self.nursery.order(self.data_dir, faulty=True)
        ready = await asyncio.to_thread(self.nursery.wait_ready)
        assert ready
        self.options = {"api_url": ready["url"], "sandbox_url": ready["url"]}
        self.options |= {"api_key": ready["api_key"], "retries": 0}

    async def stop(self) -> None:
        os.kill(self.nursery.pid, signal.SIGTERM)
        await asyncio.to_thread(self.nursery.wait_dead)

    async def arm(self, nth: int, error: str) -> None:
        plan = self.data_dir.parent / "fault.json"
        plan.write_text(json.dumps({"nth": nth, "error": error}))
        os.kill(self.nursery.pid, signal.SIGUSR2)
        while plan.exists():
            await asyncio.sleep(0.001)

    def hit(self) -> str:
        path = self.data_dir.parent / "fault.hit"
        return path.read_text() if path.exists() else ""

    async def settle(self) -> None:
        """Demand that registry and disk agree, of the next server if not of this one."""
        if not await asyncio.to_thread(left_over, self.data_dir, self.nursery.pid, 0.3):
            return
        self.restarts += 1
        await self.stop()
        await self.start()
        assert not await asyncio.to_thread(left_over, self.data_dir, self.nursery.pid)


@pytest.fixture
async def faulty(tmp_path: Path, home: Path) -> AsyncIterator[Faulty]:
    (tmp_path / "desktop").mkdir()
    templates = home / "desktop/templates"
    shutil.copytree(templates, tmp_path / "desktop/templates", symlinks=True)
    server = Faulty(tmp_path)
    try:
        await server.start()
        yield server
        await server.stop()
    finally:
        server.nursery.close()
        remove_tree(server.data_dir)


class Scenario:
    """Create, write, snapshot, restore, pause, resume, kill; notes errors, or allows none."""

    def __init__(self, options: dict[str, Any], errors: list[str] | None) -> None:
        self._options, self._errors = options, errors
        self._made: list[AsyncSandbox] = []

    async def _step(self, work: Any) -> Any:
        try:
            async with asyncio.timeout(WATCHDOG_S):
                return await work
        except TimeoutError:
            raise AssertionError(f"no answer within {WATCHDOG_S} s") from None
        except Exception as error:
            if self._errors is None:
                raise
            self._errors.append(f"{type(error).__name__}: {error}")
            return None

    async def _make(self, template: str) -> AsyncSandbox | None:
        desktop = await self._step(AsyncSandbox.create(template, timeout=600, **self._options))
        self._made += [desktop] if desktop else []
        return desktop  # type: ignore[no-any-return]

    async def run(self) -> None:
        desktop = await self._make("base") or await self._make("base")
        assert desktop, self._errors
        await self._step(desktop.files.write("f", "x" * 5000))
        first = await self._step(desktop.create_snapshot(mode="filesystem"))
        await self._step(desktop.commands.run("echo more >> f"))
        second = await self._step(desktop.create_snapshot(mode="filesystem"))
        await self._restore(second or first)
        for mode in ("full", "filesystem"):
            await self._step(desktop.pause(mode=mode))
            await self._step(desktop.connect(timeout=600))
        assert (await self._step(desktop.files.read("f")) or "x")[0] in "xm"
        for gone in self._made:
            await self._step(gone.kill())
        for info in (first, second):
            if info:
                await self._step(AsyncSandbox.delete_snapshot(info.snapshot_id, **self._options))

    async def _restore(self, snapshot: Any) -> None:
        copy = await self._make(snapshot.snapshot_id) if snapshot else None
        if copy:
            read = await self._step(copy.files.read("f"))
            assert read in (None, "x" * 5000, "x" * 5000 + "more\n", "more\n"), read


async def clear(options: dict[str, Any]) -> None:
    """Delete what a disturbed scenario may have left; everything must be possible again."""
    for info in await AsyncSandbox.list(**options).next_items():
        await AsyncSandbox.kill(info.sandbox_id, **options)
    for snapshot in await AsyncSandbox.list_snapshots(**options).next_items():
        await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **options)


def untyped(errors: list[str]) -> list[str]:
    """Errors that no client can tell apart from a bug: no status, or a traceback."""
    signs = r"\b[45]\d\d\b|RateLimit|NotFound|not found|NotRunning|NotEnoughSpace|storage failed"
    return [e for e in errors if "Traceback" in e or not re.search(signs, e)]


async def every(faulty: Faulty, error: str, step: int) -> dict[str, int]:
    tally = {"points": 0, "refused": 0}
    for nth in range(1, MOST, step):
        await faulty.arm(nth, error)
        errors: list[str] = []
        await Scenario(faulty.options, errors).run()
        if not (hit := faulty.hit()):
            return tally | {"restarts": faulty.restarts}
        tally["points"] += 1
        tally["refused"] += bool(errors)
        assert not (bad := untyped(errors)), (nth, hit, bad)
        await clear(faulty.options)
        try:
            await faulty.settle()
            await Scenario(faulty.options, None).run()
        except BaseException as wrong:
            raise AssertionError(f"after call {nth} failed ({hit}; {errors}): {wrong}") from wrong
    raise AssertionError(f"the scenario makes more than {MOST} calls")


@pytest.mark.parametrize("error", ["ENOSPC"])
async def test_some_storage_calls_that_fail_are_answered_and_survived(
    faulty: Faulty, error: str
) -> None:
    tally = await every(faulty, error, 47)
    assert tally["points"] >= 3
    assert tally["refused"] >= 1


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("error", ERRORS)
async def test_every_storage_call_that_fails_is_answered_and_survived(
    faulty: Faulty, error: str
) -> None:
    tally = await every(faulty, error, 1)
    sys.stdout.write(f"{error}: {tally}\n")
    assert tally["points"] >= 50
    assert tally["refused"] >= 20
