"""The `Desktop` facade, the sandbox tool and the snippet graph on the real server."""

from pathlib import Path

import pytest
from desktops import kill_desktops

from graphs import snippet
from tools.connection import Connection
from tools.desktop import Desktop, list_desktops
from tools.e2b_sandbox_tool import E2BSandboxTool
from tools.errors import DesktopGoneError, ToolError
from tools.settings import Settings


@pytest.fixture
def connection(settings: Settings) -> Connection:
    return Connection(settings)


async def test_desktop_exec_streams_and_returns_output(connection: Connection) -> None:
    seen: list[str] = []
    async with await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop:
        done = await desktop.exec("echo out; echo err >&2; exit 3", on_stdout=seen.append)
    assert (done.exit_code, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert seen == ["out\n"]


async def test_desktop_exec_quotes_lists_and_keeps_shell_text(connection: Connection) -> None:
    async with await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop:
        assert (await desktop.exec("echo", ["$HOME", "a b"])).stdout == "$HOME a b\n"
        assert (await desktop.exec("python", "- << 'PY'\nprint('hi')\nPY")).stdout == "hi\n"


async def test_desktop_exec_over_its_time_is_killed(connection: Connection) -> None:
    async with await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop:
        done = await desktop.exec("sleep 60 & sleep 60", timeout_s=1)
        assert (done.timed_out, done.exit_code) == (True, 124)
        assert "sleep" not in (await desktop.exec("cat /proc/[0-9]*/comm")).stdout


async def test_desktop_files_many_at_once_are_written(connection: Connection) -> None:
    async with await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop:
        await desktop.fs.write_files({f"d/{n}.txt": str(n) for n in range(50)})
        assert len(await desktop.fs.list_dir("d")) == 50
        assert await desktop.fs.read_file("d/7.txt") == "7"
        await desktop.fs.remove("d/7.txt")
        assert not await desktop.fs.exists("d/7.txt")
        with pytest.raises(ToolError):
            await desktop.fs.read_file("d/7.txt")


async def test_desktop_upload_large_file_arrives_whole(
    connection: Connection, tmp_path: Path
) -> None:
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * 70_000)
    async with await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop:
        await desktop.fs.upload("/tmp/large", source)
        size = await desktop.exec("cat /tmp/large.* | wc -c")
    assert int(size.stdout) == source.stat().st_size


async def test_desktop_ephemeral_is_gone_after_close(connection: Connection) -> None:
    desktop = await Desktop.create(lifecycle="ephemeral", connection=connection)
    await desktop.close()
    with pytest.raises(DesktopGoneError):
        await Desktop.connect(desktop.id, connection=connection)


async def test_desktop_persistent_survives_pause_and_reconnect(connection: Connection) -> None:
    desktop = await Desktop.create(metadata={"test": "pause"}, connection=connection)
    await desktop.fs.write_file("kept.txt", "kept")
    await desktop.close()
    await desktop.pause()
    await desktop.reconnect()
    assert await desktop.fs.read_file("kept.txt") == "kept"
    assert isinstance(await desktop.metrics(), list)
    assert [d async for d in list_desktops(connection, {"test": "pause"})] == [desktop.id]
    assert await kill_desktops(connection, {"test": "pause"}) == 1


async def test_desktop_snapshot_is_a_separate_copy(connection: Connection) -> None:
    async with await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop:
        await desktop.fs.write_file("a.txt", "before")
        snapshot = await desktop.snapshot()
        await desktop.fs.write_file("a.txt", "after")
        async with await Desktop.create(
            template=snapshot, lifecycle="ephemeral", connection=connection
        ) as copy:
            assert await copy.fs.read_file("a.txt") == "before"


async def test_desktop_unknown_template_is_refused(connection: Connection) -> None:
    with pytest.raises(DesktopGoneError):
        await Desktop.create(template="no-such-template", connection=connection)


async def test_sandbox_tool_runs_both_languages(connection: Connection) -> None:
    tool = E2BSandboxTool(connection=connection)
    assert await tool.ainvoke({"language": "python", "script": "print(1 + 1)"}) == "2\n"
    assert await tool.ainvoke({"language": "node", "script": "console.log(2 + 2)"}) == "4\n"


async def test_sandbox_tool_failure_shows_stderr_and_exit_code(connection: Connection) -> None:
    answer = await E2BSandboxTool(connection=connection).ainvoke(
        {"language": "python", "script": "raise SystemExit('no')"}
    )
    assert answer == "no\n\n[exit code 1]"


async def test_sandbox_tool_given_desktop_keeps_files(connection: Connection) -> None:
    async with await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop:
        tool = E2BSandboxTool(desktop=desktop)
        await tool.ainvoke({"language": "python", "script": "open('x', 'w').write('1')"})
        answer = await tool.ainvoke({"language": "python", "script": "print(open('x').read())"})
    assert answer == "1\n"


async def test_snippet_graph_runs_and_leaves_nothing(
    settings: Settings, connection: Connection
) -> None:
    before = [d async for d in list_desktops(connection, {})]
    graph = snippet.make_graph(settings)
    state = await graph.ainvoke({"language": "python", "script": "print('x'); 1 / 0"})
    assert state["exit_code"] == 1
    assert "ZeroDivisionError" in state["stderr"]
    assert [d async for d in list_desktops(connection, {})] == before
