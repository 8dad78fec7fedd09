"""Watching directories through the official SDK: streamed and polled, bounded, honest."""

import asyncio
from collections.abc import Callable
from typing import Any

import e2b
import pytest
from e2b import AsyncSandbox, FilesystemEvent, Sandbox

FLOOD = "import os\nfor i in range(12000):\n  open(str(i), 'w').close(); os.remove(str(i))"


class Recorder:
    """Collects a stream's events and lets a test wait for one of them."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.events: list[FilesystemEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: FilesystemEvent) -> None:
        self.events.append(event)
        self.seen.append((event.type.value, event.name))
        self._news.set()

    async def until(self, kind: str, name: str) -> None:
        async with asyncio.timeout(10):
            while (kind, name) not in self.seen:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def polled(desktop: AsyncSandbox, options: dict[str, Any]) -> Callable[..., Any]:
    """Make polled watchers, which only the synchronous SDK has."""
    twin = Sandbox.connect(desktop.sandbox_id, **options)

    def watch(path: str, **choices: Any) -> Any:
        return twin.files.watch_dir(path, **choices)

    return watch


async def test_watch_dir_stream_tells_each_change_by_its_e2b_name(desktop: AsyncSandbox) -> None:
    recorder = Recorder()
    await desktop.files.make_dir("w")
    handle = await desktop.files.watch_dir("w", recorder)
    await desktop.files.write("w/a", "1")
    await desktop.commands.run("cd w; chmod 600 a; mv a b; mkdir d; rm b; echo >> /tmp/x")
    await recorder.until("remove", "b")
    first = [("create", "a"), ("chmod", "a"), ("write", "a")]
    rest = [("chmod", "a"), ("rename", "a"), ("create", "b"), ("create", "d"), ("remove", "b")]
    assert recorder.seen == first + rest
    await handle.stop()


async def test_watch_dir_recursive_follows_new_moved_and_deleted_folders(
    desktop: AsyncSandbox,
) -> None:
    recorder = Recorder()
    await desktop.files.make_dir("w/old")
    handle = await desktop.files.watch_dir("w", recorder, recursive=True)
    await desktop.commands.run("mkdir -p w/x/y && echo 1 > w/x/y/f")
    await recorder.until("create", "x/y/f")
    await desktop.commands.run("mv w/x w/z")
    await recorder.until("create", "z")
    await desktop.commands.run("echo 2 >> w/z/y/f")
    await recorder.until("write", "z/y/f")
    await desktop.commands.run("rm -r w/z w/old")
    await recorder.until("remove", "old")
    assert ("rename", "x") in recorder.seen
    assert ("write", "x/y/f") not in recorder.seen[recorder.seen.index(("rename", "x")) :]
    assert ("remove", "z/y/f") in recorder.seen
    await handle.stop()


async def test_watch_dir_with_entries_describes_what_is_there(desktop: AsyncSandbox) -> None:
    recorder = Recorder()
    await desktop.files.make_dir("w")
    handle = await desktop.files.watch_dir("w", recorder, include_entry=True)
    await desktop.files.write("w/a", "1234")
    await recorder.until("write", "a")
    await desktop.files.remove("w/a")
    await recorder.until("remove", "a")
    written, removed = recorder.events[-2], recorder.events[-1]
    assert written.entry is not None
    assert (written.entry.path, written.entry.size) == ("/home/user/w/a", 4)
    assert removed.entry is None
    await handle.stop()


async def test_watch_dir_not_recursive_stays_in_its_folder(desktop: AsyncSandbox) -> None:
    recorder = Recorder()
    await desktop.files.make_dir("w/d")
    handle = await desktop.files.watch_dir("w", recorder)
    await desktop.commands.run("touch w/d/below; touch w/here")
    await recorder.until("chmod", "here")
    assert {name for _, name in recorder.seen} == {"here"}
    await handle.stop()


@pytest.mark.parametrize(
    ("path", "error"),
    [("missing", e2b.FileNotFoundException), ("/etc/passwd", e2b.InvalidArgumentException)],
)
async def test_watch_dir_of_no_folder_is_refused(
    desktop: AsyncSandbox, path: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await desktop.files.watch_dir(path, Recorder())


async def test_polled_watcher_returns_what_happened_since_the_last_look(
    desktop: AsyncSandbox, polled: Callable[..., Any]
) -> None:
    await desktop.files.make_dir("w")
    watcher = polled("w")
    await desktop.files.write("w/a", "1")
    first = await asyncio.to_thread(watcher.get_new_events)
    assert [event.type.value for event in first] == ["create", "chmod", "write"]
    assert await asyncio.to_thread(watcher.get_new_events) == []
    await asyncio.to_thread(watcher.stop)
    with pytest.raises(e2b.SandboxException):
        await asyncio.to_thread(watcher.get_new_events)


async def test_polled_watcher_keeps_events_over_a_pause(
    desktop: AsyncSandbox, polled: Callable[..., Any], options: dict[str, Any]
) -> None:
    await desktop.files.make_dir("w")
    watcher = polled("w")
    await desktop.files.write("w/a", "1")
    await desktop.pause()
    await AsyncSandbox.connect(desktop.sandbox_id, **options)
    events = await asyncio.to_thread(watcher.get_new_events)
    assert [event.name for event in events] == ["a", "a", "a"]


async def test_polled_watcher_returns_thousands_of_events_at_once(
    desktop: AsyncSandbox, polled: Callable[..., Any]
) -> None:
    await desktop.files.make_dir("w")
    watcher = polled("w")
    await desktop.commands.run("cd w; for i in {1..3000}; do : > f$i; done")
    events = await asyncio.to_thread(watcher.get_new_events)
    assert len([event for event in events if event.type.value == "create"]) == 3000


@pytest.mark.long
async def test_polled_watcher_never_read_says_that_events_were_lost(
    desktop: AsyncSandbox, polled: Callable[..., Any]
) -> None:
    await desktop.files.make_dir("w")
    watcher = polled("w")
    await desktop.files.write("flood.py", FLOOD)
    await desktop.commands.run("cd w && python ../flood.py")
    lost = False
    for _ in range(200):
        try:
            await asyncio.to_thread(watcher.get_new_events)
        except e2b.SandboxException as error:
            lost = "events were lost" in str(error)
            break
    assert lost


async def test_watchers_beyond_the_bound_are_refused_until_one_is_removed(
    desktop: AsyncSandbox, polled: Callable[..., Any]
) -> None:
    await desktop.files.make_dir("w")
    watchers = [polled("w") for _ in range(32)]
    with pytest.raises(e2b.RateLimitException, match="32 watchers exist"):
        polled("w")
    await asyncio.to_thread(watchers[0].stop)
    polled("w")


async def test_watch_streams_that_ended_leave_room_for_others(desktop: AsyncSandbox) -> None:
    await desktop.files.make_dir("w")
    for _ in range(40):
        handle = await desktop.files.watch_dir("w", Recorder())
        await handle.stop()
        await desktop.files.exists("w")
    recorder = Recorder()
    await desktop.files.watch_dir("w", recorder)
    await desktop.files.write("w/a", "1")
    await recorder.until("write", "a")


async def test_watch_dir_of_a_name_that_is_not_text_still_tells(desktop: AsyncSandbox) -> None:
    recorder = Recorder()
    await desktop.files.make_dir("w")
    await desktop.files.watch_dir("w", recorder, include_entry=True)
    await desktop.commands.run(r"touch w/$'\xff'; touch w/plain")
    await recorder.until("create", "plain")
    assert ("create", "?") in recorder.seen
    assert [entry.name for entry in await desktop.files.list("w")] == ["plain", "?"]


async def test_watch_dir_stream_ends_with_its_desktop(desktop: AsyncSandbox) -> None:
    ended: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    await desktop.files.make_dir("w")
    await desktop.files.watch_dir("w", Recorder(), on_exit=ended.set_result)
    await desktop.kill()
    async with asyncio.timeout(10):
        await ended


@pytest.mark.long
async def test_watch_dir_of_a_full_folder_moved_in_goes_on(desktop: AsyncSandbox) -> None:
    recorder = Recorder()
    await desktop.files.make_dir("w")
    await desktop.commands.run("mkdir full; cd full; for i in {1..5000}; do : > $i; done")
    await desktop.files.watch_dir("w", recorder, recursive=True)
    await desktop.commands.run("mv full w/in")
    await recorder.until("create", "in")
    await desktop.commands.run("echo more >> w/in/7")
    await recorder.until("write", "in/7")
