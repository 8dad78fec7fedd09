"""Contract: the same server through the synchronous SDK."""

from typing import Any

import e2b
import pytest
from e2b import FilesystemEventType, PtySize, Sandbox


def test_life_of_a_sandbox(options: dict[str, Any], sync_desktop: Sandbox) -> None:
    assert sync_desktop.is_running()
    assert sync_desktop.pause()
    assert not sync_desktop.is_running()
    assert Sandbox.connect(sync_desktop.sandbox_id, **options).is_running()
    assert Sandbox.kill(sync_desktop.sandbox_id, **options)
    with pytest.raises(e2b.SandboxNotFoundException):
        sync_desktop.get_info()


def test_commands_and_terminal(sync_desktop: Sandbox) -> None:
    assert sync_desktop.commands.run("echo hi").stdout == "hi\n"
    handle = sync_desktop.commands.run("cat", background=True, stdin=True)
    sync_desktop.commands.send_stdin(handle.pid, "typed")
    sync_desktop.commands.close_stdin(handle.pid)
    assert handle.wait().stdout == "typed"
    terminal = sync_desktop.pty.create(PtySize(rows=20, cols=60))
    sync_desktop.pty.send_stdin(terminal.pid, b"exit\n")
    assert terminal.wait().exit_code == 0


def test_files_and_polled_watch(sync_desktop: Sandbox) -> None:
    sync_desktop.files.make_dir("w")
    watch = sync_desktop.files.watch_dir("w")
    sync_desktop.files.write("w/f", "x")
    kinds: set[FilesystemEventType] = set()
    for _ in range(100):
        kinds |= {event.type for event in watch.get_new_events()}
        if FilesystemEventType.CREATE in kinds:
            break
    assert FilesystemEventType.CREATE in kinds
    watch.stop()
    assert sync_desktop.files.read("w/f") == "x"


def test_snapshot_and_create_from_it(options: dict[str, Any], sync_desktop: Sandbox) -> None:
    sync_desktop.files.write("f", "x")
    snapshot = sync_desktop.create_snapshot(mode="filesystem")
    copy = Sandbox.create(snapshot.snapshot_id, **options)
    assert copy.files.read("f") == "x"
    assert copy.kill()
    assert Sandbox.delete_snapshot(snapshot.snapshot_id, **options)
