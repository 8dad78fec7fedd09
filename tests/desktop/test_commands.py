"""Commands: output, input, signals, deadlines, late listeners, floods, terminals."""

import asyncio
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import e2b
import pytest
from e2b import AsyncSandbox, PtySize

from sentient_desktop import find_server


async def test_run_separates_stdout_from_stderr(desktop: AsyncSandbox) -> None:
    result = await desktop.commands.run("echo out; echo err >&2")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 0)


async def test_run_failing_raises_with_code_and_output(desktop: AsyncSandbox) -> None:
    with pytest.raises(e2b.CommandExitException) as caught:
        await desktop.commands.run("echo partly; exit 7")
    assert (caught.value.exit_code, caught.value.stdout) == (7, "partly\n")
    assert caught.value.error == "exit status 7"


async def test_run_with_cwd_and_envs_uses_them(desktop: AsyncSandbox) -> None:
    result = await desktop.commands.run("pwd; echo $A", cwd="/tmp", envs={"A": "ä b"})
    assert result.stdout == "/tmp\nä b\n"


async def test_run_in_missing_folder_is_refused(desktop: AsyncSandbox) -> None:
    with pytest.raises(e2b.InvalidArgumentException, match="cwd '/nowhere' does not exist"):
        await desktop.commands.run("true", cwd="/nowhere")


@pytest.mark.parametrize("user", ["root", "somebody"])
async def test_run_as_another_user_is_refused_by_name(desktop: AsyncSandbox, user: str) -> None:
    with pytest.raises(e2b.AuthenticationException, match=f"invalid user: '{user}'"):
        await desktop.commands.run("true", user=user)


async def test_desktop_python_comes_first_and_has_pytest(desktop: AsyncSandbox) -> None:
    await desktop.files.write("test_it.py", "import ssl, sqlite3\ndef test_it():\n    assert 1\n")
    result = await desktop.commands.run(
        "command -v python pytest; python -m pytest -q --timeout 20 test_it.py;"
        "coverage --version; git --version"
    )
    assert result.stdout.startswith("/opt/desktop/bin/python\n/opt/desktop/bin/pytest\n")
    assert "1 passed" in result.stdout


async def test_run_streams_output_while_running(desktop: AsyncSandbox) -> None:
    seen: list[tuple[float, str]] = []
    start = time.monotonic()
    await desktop.commands.run(
        "echo one; sleep 0.4; echo two",
        on_stdout=lambda text: seen.append((time.monotonic() - start, text)),
    )
    assert [text for _, text in seen] == ["one\n", "two\n"]
    assert seen[0][0] < 0.3 < seen[1][0]


async def test_stdin_sent_and_closed_reaches_the_command(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run("cat; echo done", background=True, stdin=True)
    await desktop.commands.send_stdin(handle.pid, "hello\n")
    await handle.send_stdin("x" * 300_000)
    await handle.close_stdin()
    result = await handle.wait()
    assert result.stdout == "hello\n" + "x" * 300_000 + "done\n"


async def test_stream_input_arrives_in_order(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run("head -n 50", background=True, stdin=True)
    stream = desktop.commands.stream_input(handle.pid)
    for number in range(50):
        await stream.send(f"{number}\n")
    await stream.close()
    assert (await handle.wait()).stdout == "".join(f"{number}\n" for number in range(50))


async def test_stdin_not_asked_for_is_empty(desktop: AsyncSandbox) -> None:
    assert (await desktop.commands.run("cat; echo end")).stdout == "end\n"


async def test_list_shows_running_commands_only(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run("sleep 50", background=True, cwd="/tmp", envs={"K": "v"})
    (process,) = await desktop.commands.list()
    assert (process.pid, process.cwd, process.envs) == (handle.pid, "/tmp", {"K": "v"})
    assert process.args[-1] == "sleep 50"
    assert await desktop.commands.kill(handle.pid)
    with pytest.raises(e2b.CommandExitException) as caught:
        await handle.wait()
    assert caught.value.error == "signal: killed"
    assert await desktop.commands.list() == []
    assert not await desktop.commands.kill(handle.pid)


async def test_connect_after_disconnect_follows_the_same_command(desktop: AsyncSandbox) -> None:
    command = "sleep 0.3; echo later; exit 5"
    handle = await desktop.commands.run(command, background=True)
    await handle.disconnect()
    again = await desktop.commands.connect(handle.pid)
    with pytest.raises(e2b.CommandExitException) as caught:
        await again.wait()
    assert (caught.value.stdout, caught.value.exit_code) == ("later\n", 5)


async def test_connect_after_the_end_still_tells_the_exit_code(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run("exit 9", background=True)
    await handle.disconnect()
    await asyncio.sleep(0.2)
    late = await desktop.commands.connect(handle.pid)
    with pytest.raises(e2b.CommandExitException) as caught:
        await late.wait()
    assert caught.value.exit_code == 9
    with pytest.raises(e2b.NotFoundException):
        await desktop.commands.connect(99999)


async def test_deadline_passing_kills_the_whole_tree(desktop: AsyncSandbox) -> None:
    # A child, a grandchild, and a daemon that left the session and lost its parent.
    tree = "sleep 333 & (sleep 333 &) ; (setsid sleep 333 &) ; sleep 333"
    with pytest.raises(e2b.TimeoutException):
        await desktop.commands.run(tree, timeout=0.4)
    await asyncio.sleep(0.2)
    assert (await desktop.commands.run("pgrep -c sleep || true")).stdout == "0\n"


async def test_deadline_holds_after_the_client_left(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run("sleep 333", background=True, timeout=0.5)
    await handle.disconnect()
    assert (await desktop.commands.run("pgrep -c sleep")).stdout == "1\n"
    await asyncio.sleep(0.8)
    assert (await desktop.commands.run("pgrep -c sleep || true")).stdout == "0\n"


async def test_daemon_left_behind_does_not_hold_the_command(desktop: AsyncSandbox) -> None:
    start = time.monotonic()
    result = await desktop.commands.run("(while :; do echo tick; sleep 0.6; done) & echo started")
    assert result.stdout.startswith("started\n") or "started\n" in result.stdout
    assert time.monotonic() - start < 5
    assert (await desktop.commands.run("pgrep -c sleep")).exit_code == 0


def _resident_bytes(data_dir: Path) -> int:
    found = find_server(data_dir)
    assert found
    return int(Path(f"/proc/{found[1]}/statm").read_text().split()[1]) * 4096


async def test_output_flood_arrives_whole_and_leaves_the_server_flat(
    desktop: AsyncSandbox, data_dir: Path
) -> None:
    received = 0

    def count(text: str) -> None:
        nonlocal received
        received += len(text)

    before = _resident_bytes(data_dir)
    await desktop.commands.run("head -c 60000000 /dev/zero", on_stdout=count, retain_output=False)
    assert received == 60_000_000
    assert _resident_bytes(data_dir) - before < 30_000_000


async def test_flood_without_listeners_does_not_block(desktop: AsyncSandbox) -> None:
    command = "head -c 50000000 /dev/zero; echo finished > mark"
    handle = await desktop.commands.run(command, background=True)
    await handle.disconnect()
    for _ in range(200):
        if await desktop.files.exists("mark"):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the command blocked on output nobody reads")


async def test_slow_listener_holds_the_command_back(desktop: AsyncSandbox, data_dir: Path) -> None:
    before = _resident_bytes(data_dir)
    handle = await desktop.commands.run(
        "head -c 80000000 /dev/zero; echo finished > mark",
        background=True,
        on_stdout=lambda _text: asyncio.sleep(1),
        retain_output=False,
    )
    await asyncio.sleep(1.0)
    assert not await desktop.files.exists("mark")
    assert _resident_bytes(data_dir) - before < 30_000_000
    assert await handle.kill()
    await handle.disconnect()


async def test_parallel_commands_do_not_wait_for_each_other(desktop: AsyncSandbox) -> None:
    start = time.monotonic()
    results = await asyncio.gather(
        *(desktop.commands.run(f"sleep 0.5; echo {n}") for n in range(20))
    )
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(20)]
    assert time.monotonic() - start < 5


async def test_pty_has_a_size_takes_input_and_ends(desktop: AsyncSandbox) -> None:
    screen = bytearray()
    handle = await desktop.pty.create(size=PtySize(rows=31, cols=97), on_data=screen.extend)
    await desktop.pty.send_stdin(handle.pid, b"tty; stty size\n")
    await _until(lambda: b"31 97" in screen)
    assert b"/dev/pts/" in screen
    await desktop.pty.resize(handle.pid, PtySize(rows=40, cols=120))
    await desktop.pty.send_stdin(handle.pid, b"stty size; exit 4\n")
    with pytest.raises(e2b.CommandExitException) as caught:
        await handle.wait()
    assert caught.value.exit_code == 4
    assert b"40 120" in screen


async def _until(condition: Any) -> None:
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail("the condition never became true")


async def test_command_of_a_killed_desktop_says_that_the_desktop_is_gone(
    desktop: AsyncSandbox,
) -> None:
    command = await desktop.commands.run("sleep 60", background=True)
    await desktop.kill()
    with pytest.raises(e2b.TimeoutException, match="was killed or reached its end of life"):
        await command.wait()


async def test_quick_commands_that_boot_their_desktop_deliver_their_ends(
    desktop: AsyncSandbox, data_dir: Path
) -> None:
    for _ in range(8):
        with closing(sqlite3.connect(data_dir / "registry.db")) as connection:
            query = "SELECT init_pid FROM desktops WHERE id = ?"
            (pid,) = connection.execute(query, [desktop.sandbox_id]).fetchone()
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.1)
        runs = [desktop.commands.run("true", timeout=5, request_timeout=10) for _ in range(6)]
        assert {result.exit_code for result in await asyncio.gather(*runs)} == {0}
