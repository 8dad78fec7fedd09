"""Contract: creating, finding, pausing and ending sandboxes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import e2b
import httpx
import pytest
from e2b import AsyncSandbox, SandboxQuery, SandboxState

NOBODY = "i" + "0" * 19


async def test_create_choices_show_in_info_and_in_commands(create: Any) -> None:
    sandbox = await create(timeout=120, metadata={"task": "a &b"}, envs={"COLOUR": "red"})
    info = await sandbox.get_info()
    assert (info.sandbox_id, info.state) == (sandbox.sandbox_id, SandboxState.RUNNING)
    assert info.metadata == {"task": "a &b"}
    assert timedelta(seconds=60) < info.end_at - datetime.now(UTC) <= timedelta(seconds=125)
    assert min(info.cpu_count, info.memory_mb) >= 1
    assert info.envd_version
    assert (await sandbox.commands.run("echo $COLOUR")).stdout == "red\n"


async def test_create_unknown_template_is_refused(create: Any) -> None:
    with pytest.raises(e2b.SandboxException, match=r"404|not found"):
        await create(f"nobody-{uuid4().hex}")


async def test_create_wrong_key_is_an_authentication_error(options: dict[str, Any]) -> None:
    wrong = options | {"api_key": "e2b_" + "0" * 40}
    with pytest.raises(e2b.AuthenticationException):
        await AsyncSandbox.create("base", **wrong)


async def test_create_twice_with_one_idempotency_key_makes_one(
    create: Any, options: dict[str, Any]
) -> None:
    key = uuid4().hex
    first = await create(idempotency_key=key)
    assert (await create(idempotency_key=key)).sandbox_id == first.sandbox_id


async def test_connect_by_id_reaches_the_same_sandbox(
    desktop: AsyncSandbox, options: dict[str, Any]
) -> None:
    await desktop.files.write("note", "here")
    other = await AsyncSandbox.connect(desktop.sandbox_id, **options)
    assert await other.files.read("note") == "here"


async def test_connect_never_shortens_and_set_timeout_does(create: Any) -> None:
    sandbox = await create(timeout=600)
    await sandbox.connect(timeout=60)
    assert (await sandbox.get_info()).end_at - datetime.now(UTC) > timedelta(seconds=500)
    await sandbox.set_timeout(60)
    assert (await sandbox.get_info()).end_at - datetime.now(UTC) < timedelta(seconds=70)


async def test_kill_is_true_once_then_everything_says_gone(
    create: Any, options: dict[str, Any]
) -> None:
    sandbox = await create()
    assert await sandbox.kill()
    assert not await sandbox.kill()
    assert not await sandbox.is_running()
    with pytest.raises(e2b.SandboxNotFoundException):
        await sandbox.get_info()
    with pytest.raises(e2b.SandboxNotRunningException):
        await sandbox.commands.run("true")
    with pytest.raises(e2b.SandboxNotFoundException):
        await AsyncSandbox.connect(sandbox.sandbox_id, **options)


@pytest.mark.parametrize("call", ["set_timeout", "get_info", "pause", "create_snapshot"])
async def test_call_on_unknown_id_says_not_found(options: dict[str, Any], call: str) -> None:
    arguments = {"timeout": 60} if call == "set_timeout" else {}
    with pytest.raises(e2b.SandboxNotFoundException):
        await getattr(AsyncSandbox, call)(NOBODY, **arguments, **options)


async def test_list_filters_by_metadata_and_state_and_pages(
    create: Any, options: dict[str, Any]
) -> None:
    mark = {"run": uuid4().hex}
    mine = [await create(metadata=mark) for _ in range(3)]
    await mine[0].pause()
    pages = AsyncSandbox.list(query=SandboxQuery(metadata=mark), limit=2, **options)
    first = await pages.next_items()
    assert pages.has_next
    rest = await pages.next_items()
    assert not pages.has_next
    assert {item.sandbox_id for item in first + rest} == {item.sandbox_id for item in mine}
    assert len(first) == 2
    paused = SandboxQuery(metadata=mark, state=[SandboxState.PAUSED])
    found = await AsyncSandbox.list(query=paused, **options).next_items()
    assert [item.sandbox_id for item in found] == [mine[0].sandbox_id]


async def test_list_started_after_includes_that_moment(
    create: Any, options: dict[str, Any]
) -> None:
    mark = {"run": uuid4().hex}
    started = (await (await create(metadata=mark)).get_info()).started_at
    counts = [
        len(
            await AsyncSandbox.list(
                query=SandboxQuery(metadata=mark, started_after=started + later), **options
            ).next_items()
        )
        for later in (timedelta(), timedelta(seconds=1))
    ]
    assert counts == [1, 0]


async def test_pause_keeps_processes_and_connect_resumes(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run("sleep 100", background=True)
    assert await desktop.pause()
    assert not await desktop.pause()
    assert (await desktop.get_info()).state is SandboxState.PAUSED
    assert not await desktop.is_running()
    await desktop.connect()
    assert handle.pid in [process.pid for process in await desktop.commands.list()]


async def test_pause_of_files_only_reboots_on_connect(desktop: AsyncSandbox) -> None:
    await desktop.files.write("kept", "yes")
    boot = await desktop.files.read("/proc/sys/kernel/random/boot_id")
    handle = await desktop.commands.run("sleep 100", background=True)
    await desktop.pause(mode="filesystem")
    await desktop.connect()
    assert await desktop.files.read("kept") == "yes"
    assert handle.pid not in [process.pid for process in await desktop.commands.list()]
    assert await desktop.files.read("/proc/sys/kernel/random/boot_id") != boot


async def test_timeout_pauses_or_kills_by_lifecycle(create: Any) -> None:
    kept = await create(timeout=1, lifecycle={"on_timeout": "pause"})
    lost = await create(timeout=1, lifecycle={"on_timeout": "kill"})
    assert (await kept.get_info()).lifecycle == {"on_timeout": "pause", "auto_resume": False}
    for _ in range(100):
        if not await lost.kill() and (await kept.get_info()).state is SandboxState.PAUSED:
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("the sandboxes outlived their timeout")


async def test_auto_resume_wakes_on_use(create: Any) -> None:
    sandbox = await create(lifecycle={"on_timeout": "pause", "auto_resume": True})
    await sandbox.pause()
    assert (await sandbox.commands.run("echo awake")).stdout == "awake\n"


async def test_metrics_of_a_window_lie_in_it(desktop: AsyncSandbox) -> None:
    for _ in range(120):
        if samples := await desktop.get_metrics():
            break
        await asyncio.sleep(0.5)
    assert 0 < samples[-1].mem_used < samples[-1].mem_total
    assert samples[-1].cpu_count >= 1
    assert 0 <= samples[-1].disk_used < samples[-1].disk_total
    before = datetime.now(UTC) - timedelta(hours=1)
    assert await desktop.get_metrics(start=before, end=before + timedelta(minutes=30)) == []


async def test_token_of_one_sandbox_does_not_open_another(create: Any) -> None:
    mine, other = await create(), await create()
    await mine.files.write("secret", "x")
    route = {"E2b-Sandbox-Id": mine.sandbox_id, "E2b-Sandbox-Port": "49983"}
    codes = []
    for sandbox in (other, mine):
        headers = route | {"X-Access-Token": sandbox._envd_access_token}
        async with httpx.AsyncClient(base_url=mine.envd_api_url, headers=headers) as client:
            codes.append((await client.get("/files", params={"path": "secret"})).status_code)
    assert codes == [401, 200]
