"""A client of a server that is killed at any moment, and the memory of what the server promised.

Each operation is remembered before it is asked for, with every state it may leave behind when no
answer comes; an answer leaves one of them. `Client.work` asks until the server is gone,
`Client.check` compares what the next server has.
"""

import asyncio
import json
import random
import re
import shlex
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from e2b import AsyncSandbox

from sentient_desktop.state import read_start_time

FOLDER = "/workspace/w"
Files = dict[str, bytes]
Digests = dict[str, list[int]]
"""Path to [size, checksum]."""

LIST = f"""
import json, os, zlib
found = {{}}
for folder, _, files in os.walk({FOLDER!r}):
    for name in files:
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        path = os.path.relpath(os.path.join(folder, name), {FOLDER!r})
        found[path] = [len(data), zlib.crc32(data)]
print(json.dumps(found))
"""
NAMES = ("a", "b", "c", "d", "s/a", "s/b")
SIZES = (0, 10, 4000, 5000, 70_000, 1_500_000)


def digests(files: Files) -> Digests:
    return {path: [len(data), zlib.crc32(data)] for path, data in files.items()}


@dataclass
class Known:
    """What is known of one desktop."""

    sandbox: AsyncSandbox
    driver: int
    """Which of the client's tasks uses it; one alone does."""
    possible: list[Files]
    """The states its files may be in; one, unless an answer is outstanding."""
    alive: list[bool] = field(default_factory=lambda: [True])

    @property
    def files(self) -> Files:
        return self.possible[-1]


class Client:
    """One client; ``options`` are those of the official SDK for the present server."""

    def __init__(self, seed: int, options: dict[str, Any], desktops: int = 2) -> None:
        self.random = random.Random(seed)
        self.options = options
        self.desktops: dict[str, Known] = {}
        self.snapshots: dict[str, list[Files]] = {}
        self.outstanding: list[list[Files]] = []
        """Of snapshots whose answer did not come: what one may hold."""
        self.doomed: set[str] = set()
        """Snapshots whose deletion was asked for and not answered."""
        self.in_use: Counter[str] = Counter()
        """Snapshots desktops are being made from."""
        self.server = 0
        """Pid of the server that is asked at present."""
        self.made = 0
        self.acknowledged: Counter[str] = Counter()
        self.in_flight: Counter[str] = Counter()
        """What was asked for and not answered when the server died."""
        self._wanted = desktops

    async def work(self) -> None:
        """Ask for one thing after the other on every desktop until the server is gone."""
        await asyncio.gather(*(self._drive(number) for number in range(self._wanted)))

    async def _drive(self, number: int) -> None:
        random_ = random.Random(self.random.random())
        try:
            while True:
                known = next((k for k in self.desktops.values() if k.driver == number), None)
                if known is None:
                    await self._ask("create", self._create(number))
                    continue
                name = random_.choice(ACTIONS)
                await self._ask(name, getattr(self, f"_{name}")(known, random_))
        except _GoneError:
            return

    async def _ask(self, name: str, work: Any) -> None:
        self.in_flight[name] += 1
        try:
            async with asyncio.timeout(60):
                await work
        except TimeoutError:
            raise AssertionError(f"{name} hung for 60 s") from None
        except AssertionError:
            raise
        except Exception as error:
            answered = re.match(r"\d{3}: ", str(error))
            if answered or not await self._server_died():
                raise AssertionError(f"{name} failed: {type(error).__name__}: {error}") from error
            raise _GoneError from error
        self.in_flight[name] -= 1
        self.acknowledged[name] += 1

    async def _server_died(self) -> bool:
        for _ in range(100):
            if read_start_time(self.server) is None:
                return True
            await asyncio.sleep(0.01)
        return False

    # what it asks for

    async def _create(
        self, driver: int, template: str = "base", files: Files | None = None
    ) -> None:
        self.made += 1
        choices = {"timeout": 3600, "metadata": {"made": str(self.made)}, **self.options}
        sandbox = await AsyncSandbox.create(template, **choices)
        self.desktops[sandbox.sandbox_id] = Known(sandbox, driver, [files or {}])

    async def _write(self, known: Known, random_: random.Random) -> None:
        name, size = random_.choice(NAMES), random_.choice(SIZES)
        data = random_.randbytes(16) * (size // 16) + b"x" * (size % 16)
        after = known.files | {name: data}
        known.possible = [known.files, after]
        await known.sandbox.files.write(f"{FOLDER}/{name}", data)
        known.possible = [after]

    async def _write_many(self, known: Known, random_: random.Random) -> None:
        names = random_.sample(NAMES, 3)
        contents = {name: random_.randbytes(random_.choice((5, 6000))) for name in names}
        known.possible = [
            known.files | {n: contents[n] for i, n in enumerate(names) if mask >> i & 1}
            for mask in range(8)
        ]
        entries: Any = [{"path": f"{FOLDER}/{n}", "data": contents[n]} for n in names]
        await known.sandbox.files.write_files(entries)
        known.possible = known.possible[-1:]

    async def _append(self, known: Known, random_: random.Random) -> None:
        name, line = random_.choice(NAMES[:4]), f"line {random_.random()}\n"
        data = known.files.get(name, b"") + line.encode()
        after = known.files | {name: data}
        # the shell makes the file before it writes the line
        made = [known.files | {name: b""}] if name not in known.files else []
        known.possible = [known.files, *made, after]
        await known.sandbox.commands.run(f"mkdir -p {FOLDER}; printf '{line}' >> {FOLDER}/{name}")
        known.possible = [after]

    async def _rename(self, known: Known, random_: random.Random) -> None:
        if not known.files:
            return
        name, target = random_.choice(sorted(known.files)), random_.choice(NAMES)
        if name == target:
            return
        after = {path: entry for path, entry in known.files.items() if path != name}
        after[target] = known.files[name]
        known.possible = [known.files, after]
        await known.sandbox.files.rename(f"{FOLDER}/{name}", f"{FOLDER}/{target}")
        known.possible = [after]

    async def _remove(self, known: Known, random_: random.Random) -> None:
        if not known.files:
            return
        name = random_.choice(sorted(known.files))
        after = {path: entry for path, entry in known.files.items() if path != name}
        known.possible = [known.files, after]
        await known.sandbox.files.remove(f"{FOLDER}/{name}")
        known.possible = [after]

    async def _pause(self, known: Known, random_: random.Random) -> None:
        await known.sandbox.pause(mode=random_.choice(("full", "filesystem")))
        await known.sandbox.connect(timeout=3600)

    async def _snapshot(self, known: Known, _random: random.Random) -> None:
        holds = [known.files]
        self.outstanding.append(holds)
        info = await known.sandbox.create_snapshot(mode="filesystem")
        self.outstanding.remove(holds)
        self.snapshots[info.snapshot_id] = holds

    async def _restore(self, known: Known, random_: random.Random) -> None:
        """Kill a desktop and make one from a snapshot in its place."""
        kept = sorted(self.snapshots.keys() - self.doomed)
        if not kept:
            return
        chosen = random_.choice(kept)
        self.in_use[chosen] += 1
        known.alive = [True, False]
        await known.sandbox.kill()
        del self.desktops[known.sandbox.sandbox_id]
        await self._create(known.driver, chosen, dict(self.snapshots[chosen][0]))
        self.in_use[chosen] -= 1

    async def _fork(self, known: Known, _random: random.Random) -> None:
        (fork,) = await known.sandbox.fork(timeout=3600)
        assert isinstance(fork, AsyncSandbox), fork
        copy = Known(fork, known.driver, [dict(known.files)])
        self.desktops[fork.sandbox_id] = copy
        known.alive = [True, False]
        await known.sandbox.kill()
        del self.desktops[known.sandbox.sandbox_id]

    async def _forget(self, _known: Known, random_: random.Random) -> None:
        """Delete a snapshot, once there are some."""
        kept = sorted(s for s in self.snapshots.keys() - self.doomed if not self.in_use[s])
        if len(kept) < 3:
            return
        chosen = random_.choice(kept)
        self.doomed.add(chosen)
        assert await AsyncSandbox.delete_snapshot(chosen, **self.options)
        self.doomed.discard(chosen)
        del self.snapshots[chosen]

    # what it finds afterwards

    async def check(self, options: dict[str, Any]) -> list[str]:
        """Compare the server's memory with ours; return what is wrong, and go on from there."""
        assert options == self.options, "the server has another address or key"
        problems = []
        listed = {info.sandbox_id: info for info in await _all(AsyncSandbox.list(**options))}
        for desktop_id, known in list(self.desktops.items()):
            if desktop_id in listed:
                problems += await self._check_desktop(known)
            else:
                del self.desktops[desktop_id]
                if False not in known.alive:
                    problems.append(f"desktop {desktop_id} is lost")
        for desktop_id in listed.keys() - self.desktops.keys():
            if not self.in_flight["create"] + self.in_flight["restore"] + self.in_flight["fork"]:
                problems.append(f"desktop {desktop_id} was never asked for")
            stray = await AsyncSandbox.connect(desktop_id, **options)
            assert (await stray.commands.run("echo whole")).stdout == "whole\n"
            await stray.kill()
        problems += await self._check_snapshots()
        self.outstanding, self.doomed, self.in_flight = [], set(), Counter()
        self.in_use.clear()
        return problems

    async def _check_desktop(self, known: Known) -> list[str]:
        if (await known.sandbox.get_info()).state.value == "paused":
            await known.sandbox.connect(timeout=3600)
        found = await _files(known.sandbox)
        known.alive = [True]
        for files in known.possible:
            if digests(files) == found:
                known.possible = [files]
                return []
        return [f"desktop {known.sandbox.sandbox_id}: {_differences(found, known.possible)}"]

    async def _check_snapshots(self) -> list[str]:
        infos = await _all(AsyncSandbox.list_snapshots(**self.options))
        listed = {info.snapshot_id for info in infos}
        problems = [
            f"snapshot {snapshot} is lost"
            for snapshot in self.snapshots.keys() - listed - self.doomed
        ]
        for snapshot in self.doomed - listed:
            self.snapshots.pop(snapshot, None)
        extra = listed - self.snapshots.keys()
        if len(extra) > len(self.outstanding):
            problems.append(f"snapshots nobody asked for: {extra}")
        newest = [s for s in self.snapshots if s in listed][-2:]
        for snapshot in [*extra, *newest]:
            copy = await AsyncSandbox.create(snapshot, timeout=3600, **self.options)
            found = await _files(copy)
            wanted = self.snapshots.get(snapshot)
            choices = wanted or [files for holds in self.outstanding for files in holds]
            if found not in map(digests, choices):
                problems.append(f"snapshot {snapshot}: {_differences(found, choices)}")
            await copy.kill()
            if snapshot in extra:
                assert await AsyncSandbox.delete_snapshot(snapshot, **self.options)
        return problems


ACTIONS = (
    *("write",) * 8, *("write_many",) * 2, *("append",) * 4, *("rename",) * 2, *("remove",) * 2,
    *("snapshot",) * 4, *("pause",) * 2, "restore", "fork", "forget",
)  # fmt: skip


class _GoneError(Exception):
    """The server is dead."""


def _differences(found: Digests, possible: list[Files]) -> str:
    """Say for each path that no possible state explains what is there and what might be."""
    states = [digests(files) for files in possible]
    paths = found.keys() | {path for state in states for path in state}
    return str(
        {
            path: (found.get(path), [state.get(path) for state in states])
            for path in paths
            if any(state.get(path) != found.get(path) for state in states)
        }
    )


async def _files(sandbox: AsyncSandbox) -> Digests:
    result = await sandbox.commands.run(shlex.join(["python3", "-I", "-S", "-c", LIST]))
    return json.loads(result.stdout)  # type: ignore[no-any-return]


async def _all(paginator: Any) -> list[Any]:
    found: list[Any] = []
    while paginator.has_next:
        found += await paginator.next_items()
    return found
