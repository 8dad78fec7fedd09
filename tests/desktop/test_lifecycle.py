"""Creating, finding, pausing and ending desktops through the official SDK."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import e2b
import pytest
from e2b import AsyncSandbox, SandboxQuery, SandboxState


async def test_create_with_choices_shows_them_in_info(create: Any) -> None:
    desktop = await create(timeout=120, metadata={"task": "t 1&2"}, envs={"COLOUR": "red"})
    info = await desktop.get_info()
    assert info.sandbox_id == desktop.sandbox_id
    assert info.metadata == {"task": "t 1&2"}
    assert info.state is SandboxState.RUNNING
    assert info.template_id == "base"
    assert timedelta(seconds=100) < info.end_at - datetime.now(UTC) <= timedelta(seconds=120)
    assert (await desktop.commands.run("echo $COLOUR")).stdout == "red\n"


async def test_create_from_default_template_of_code_interpreter_works(create: Any) -> None:
    desktop = await create("code-interpreter-v1")
    assert (await desktop.commands.run("echo here")).stdout == "here\n"


async def test_create_from_unknown_template_is_refused_by_name(create: Any) -> None:
    with pytest.raises(e2b.SandboxException, match=r"404.*template 'nobody-knows' not found"):
        await create("nobody-knows")


@pytest.mark.parametrize(
    ("choices", "word"),
    [
        ({"network": {"rules": {"a.example": [{"transform": {}}]}}}, "rules"),
        ({"network": {"dns_servers": ["1.1.1.1"]}}, "dnsServers"),
        ({"network": {"https_ports": [3000]}}, "httpsPorts"),
        ({"network": {"egress_proxy": {"address": "proxy.example:1080"}}}, "egressProxy"),
        ({"mcp": {"browserbase": {}}}, "MCP"),
    ],
    ids=["rules", "dns", "https", "socks", "mcp"],
)
async def test_create_with_unsupported_choice_is_refused_by_name(
    create: Any, choices: dict[str, Any], word: str
) -> None:
    with pytest.raises(e2b.SandboxException, match=f"501.*{word}"):
        await create(**choices)


async def test_wrong_api_key_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(e2b.AuthenticationException):
        await AsyncSandbox.create("base", **(options | {"api_key": "e2b_" + "0" * 40}))


async def test_kill_twice_answers_true_then_false(create: Any) -> None:
    desktop = await create()
    assert await desktop.kill()
    assert not await desktop.kill()
    assert not await desktop.is_running()
    with pytest.raises(e2b.SandboxNotFoundException):
        await desktop.get_info()
    with pytest.raises(e2b.SandboxNotRunningException):
        await desktop.commands.run("true")
    with pytest.raises(e2b.SandboxNotFoundException):
        await AsyncSandbox.connect(desktop.sandbox_id, **desktop.connection_config.get_api_params())


async def test_list_filters_and_pages(create: Any, options: dict[str, Any]) -> None:
    mine = [await create(metadata={"list": "a b"}) for _ in range(3)]
    await create(metadata={"list": "other"})
    await mine[0].pause()
    query = SandboxQuery(metadata={"list": "a b"})
    paginator = AsyncSandbox.list(query=query, limit=2, **options)
    first = await paginator.next_items()
    assert paginator.has_next
    rest = await paginator.next_items()
    assert not paginator.has_next
    found = [info.sandbox_id for info in first + rest]
    assert found == [desktop.sandbox_id for desktop in reversed(mine)]
    paused = SandboxQuery(metadata={"list": "a b"}, state=[SandboxState.PAUSED])
    listed = await AsyncSandbox.list(query=paused, **options).next_items()
    assert [info.sandbox_id for info in listed] == [mine[0].sandbox_id]


async def test_set_timeout_moves_the_end_both_ways(create: Any) -> None:
    desktop = await create(timeout=60)
    for seconds in (900, 30):
        await desktop.set_timeout(seconds)
        left = (await desktop.get_info()).end_at - datetime.now(UTC)
        assert timedelta(seconds=seconds - 5) < left <= timedelta(seconds=seconds)


async def test_connect_never_shortens_a_running_desktop(create: Any) -> None:
    desktop = await create(timeout=600)
    await desktop.connect(timeout=10)
    assert (await desktop.get_info()).end_at - datetime.now(UTC) > timedelta(seconds=500)


async def test_timeout_passing_kills_the_desktop(create: Any) -> None:
    desktop = await create(timeout=1)
    await asyncio.sleep(1.1)
    assert not await desktop.is_running()
    for _ in range(50):
        if not await desktop.kill():
            return
        await asyncio.sleep(0.02)
    pytest.fail("the desktop was never reaped")


async def test_timeout_with_pause_lifecycle_keeps_the_desktop(create: Any) -> None:
    desktop = await create(timeout=1, lifecycle={"on_timeout": "pause"})
    await desktop.files.write("kept", "yes")
    await asyncio.sleep(1.5)
    assert (await desktop.get_info()).state is SandboxState.PAUSED
    await desktop.connect(timeout=60)
    assert await desktop.files.read("kept") == "yes"


async def test_auto_resume_wakes_a_paused_desktop_on_use(create: Any) -> None:
    desktop = await create(lifecycle={"on_timeout": "pause", "auto_resume": True})
    await desktop.pause()
    assert (await desktop.commands.run("echo awake")).stdout == "awake\n"


async def test_pause_and_resume_five_times_keeps_processes_counting(desktop: AsyncSandbox) -> None:
    counter = "i=0; while :; do i=$((i+1)); echo $i > tmp; mv tmp count; sleep 0.005; done"
    handle = await desktop.commands.run(counter, background=True)
    await asyncio.sleep(0.1)
    for _ in range(5):
        before = int(await desktop.files.read("count") or 0)
        assert await desktop.pause()
        assert not await desktop.pause()
        assert not await desktop.is_running()
        with pytest.raises(e2b.SandboxNotRunningException):
            await desktop.files.read("count")
        await desktop.connect()
        await asyncio.sleep(0.1)
        assert int(await desktop.files.read("count") or 0) > before
    assert [process.pid for process in await desktop.commands.list()] == [handle.pid]
    assert await handle.kill()


async def test_pause_without_memory_keeps_files_and_ends_processes(desktop: AsyncSandbox) -> None:
    await desktop.commands.run("sleep 100", background=True)
    await desktop.files.write("kept", "yes")
    await desktop.pause(mode="filesystem")
    await desktop.connect()
    assert await desktop.files.read("kept") == "yes"
    assert await desktop.commands.list() == []


async def test_each_boot_has_an_id_that_is_not_the_hosts(desktop: AsyncSandbox) -> None:
    path = "/proc/sys/kernel/random/boot_id"
    ids = [await desktop.files.read(path)]
    for mode in ("full", "filesystem"):
        await desktop.pause(mode=mode)
        await desktop.connect()
        ids.append(await desktop.files.read(path))
    assert ids[0] == ids[1] != ids[2]
    assert Path(path).read_text() not in ids


async def test_metrics_are_real_numbers(desktop: AsyncSandbox) -> None:
    await desktop.commands.run("head -c 3000000 /dev/urandom > data")
    *_, sample = await desktop.get_metrics()
    assert sample.cpu_count >= 1
    assert 0 < sample.mem_used < sample.mem_total
    assert 3_000_000 <= sample.disk_used < 10_000_000 < sample.disk_total


async def test_metrics_asked_for_right_after_a_sample_of_the_server_have_the_disk_of_now(
    desktop: AsyncSandbox,
) -> None:
    past_now = datetime.now(UTC) + timedelta(hours=1)  # so that the question itself takes none
    while not await desktop.get_metrics(end=past_now):
        await asyncio.sleep(0.05)
    await desktop.commands.run("head -c 3000000 /dev/urandom > data")
    *_, sample = await desktop.get_metrics()
    assert sample.disk_used >= 3_000_000


async def test_many_desktops_at_once_are_all_their_own(create: Any) -> None:
    desktops = await asyncio.gather(*(create() for _ in range(8)))

    async def use(number: int, desktop: AsyncSandbox) -> str:
        await desktop.files.write("/tmp/who", str(number))
        return (
            await desktop.commands.run("sleep 0.1; cat /tmp/who; echo; ls /proc | grep -c ^[0-9]")
        ).stdout

    outputs = await asyncio.gather(*(use(n, d) for n, d in enumerate(desktops)))
    assert [output.split()[0] for output in outputs] == [str(n) for n in range(8)]
    assert all(int(output.split()[1]) <= 6 for output in outputs)


async def test_desktop_that_takes_long_to_end_does_not_delay_the_end_of_others(
    create: Any, data_dir: Path
) -> None:
    large, small = await create(), await create()
    fill = "import os\nfor n in range(15000): os.close(os.open(str(n), os.O_CREAT))"
    await large.files.write("/tmp/fill.py", fill)
    await large.commands.run("mkdir many; cd many; python3 /tmp/fill.py", timeout=90)
    await asyncio.gather(large.set_timeout(0), small.set_timeout(0))
    while (data_dir / "desktops" / small.sandbox_id).exists():
        await asyncio.sleep(0.005)  # the test's time limit is the bound
    assert (data_dir / "desktops" / large.sandbox_id).exists()
    while (data_dir / "desktops" / large.sandbox_id).exists():
        await asyncio.sleep(0.05)
