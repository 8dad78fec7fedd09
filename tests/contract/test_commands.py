"""Contract: commands and terminals."""

import asyncio
from typing import Any

import e2b
import pytest
from e2b import AsyncSandbox, PtySize


async def test_run_separates_streams_and_honours_cwd_and_envs(desktop: AsyncSandbox) -> None:
    done = await desktop.commands.run("pwd; echo $A >&2", cwd="/tmp", envs={"A": "b"})
    assert (done.stdout, done.stderr, done.exit_code) == ("/tmp\n", "b\n", 0)


async def test_run_failure_raises_with_code_and_output(desktop: AsyncSandbox) -> None:
    with pytest.raises(e2b.CommandExitException) as failed:
        await desktop.commands.run("echo out; echo err >&2; exit 7")
    assert (failed.value.exit_code, failed.value.stdout, failed.value.stderr) == (
        7,
        "out\n",
        "err\n",
    )


async def test_run_streams_output_as_it_comes(desktop: AsyncSandbox) -> None:
    seen: list[str] = []
    first = asyncio.Event()

    def take(text: str) -> None:
        seen.append(text)
        first.set()

    handle = await desktop.commands.run(
        "echo one; read; echo two", background=True, stdin=True, on_stdout=take
    )
    async with asyncio.timeout(10):
        await first.wait()
        assert "".join(seen) == "one\n"
        await desktop.commands.send_stdin(handle.pid, "go\n")
        assert (await handle.wait()).stdout == "one\ntwo\n"


async def test_stdin_closed_ends_the_reader(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run("cat", background=True, stdin=True)
    await desktop.commands.send_stdin(handle.pid, "all")
    await desktop.commands.close_stdin(handle.pid)
    assert (await handle.wait()).stdout == "all"


async def test_background_command_is_listed_connected_to_and_killed(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run("sleep 100", background=True)
    assert handle.pid in [process.pid for process in await desktop.commands.list()]
    other = await desktop.commands.connect(handle.pid)
    assert await desktop.commands.kill(handle.pid)
    assert not await desktop.commands.kill(handle.pid)
    with pytest.raises(e2b.CommandExitException):
        await other.wait()


async def test_command_that_ended_still_tells_a_late_connect(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run("exit 3", background=True)
    with pytest.raises(e2b.CommandExitException):
        await handle.wait()
    with pytest.raises(e2b.CommandExitException) as late:
        await (await desktop.commands.connect(handle.pid)).wait()
    assert late.value.exit_code == 3


async def test_timeout_kills_and_disconnect_does_not(desktop: AsyncSandbox) -> None:
    with pytest.raises(e2b.TimeoutException):
        await desktop.commands.run("echo $$ > pid; sleep 100", timeout=1)
    gone = "kill -0 $(cat pid) 2>/dev/null && echo alive || echo gone"
    assert (await desktop.commands.run(gone)).stdout == "gone\n"
    handle = await desktop.commands.run("sleep 100", background=True)
    await handle.disconnect()
    assert handle.pid in [process.pid for process in await desktop.commands.list()]


async def test_kill_of_the_sandbox_ends_a_running_command_as_a_timeout(create: Any) -> None:
    sandbox = await create()
    handle = await sandbox.commands.run("sleep 100", background=True)
    await sandbox.kill()
    with pytest.raises(e2b.TimeoutException, match="killed or reached its end of life"):
        await handle.wait()


async def test_terminal_takes_input_and_knows_its_size(desktop: AsyncSandbox) -> None:
    output = bytearray()
    terminal = await desktop.pty.create(PtySize(rows=24, cols=80), on_data=output.extend)
    await desktop.pty.resize(terminal.pid, PtySize(rows=30, cols=100))
    await desktop.pty.send_stdin(terminal.pid, b"stty size; exit\n")
    await terminal.wait()
    assert b"30 100" in output
