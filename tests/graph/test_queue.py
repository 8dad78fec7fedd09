"""A desktop that the server's quota refuses is waited for, visibly and not for ever."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox
from samples import Repo

from graphs.engineering import make_graph
from sentient_desktop import ensure_server
from sentient_desktop.__main__ import main
from tools.errors import QuotaError
from tools.settings import Settings


@pytest.fixture
def one_desktop(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Settings]:
    """Settings of an owner who may have a single desktop on the shared server."""
    folder = home / "desktop"

    def key(*arguments: str) -> str:
        argv = ["sentient_desktop", "key", *arguments, "--data-dir", str(folder)]
        monkeypatch.setattr(sys, "argv", argv)
        assert main() == 0
        return capsys.readouterr().out.strip()

    made, url = key("add", "queue", "--max-desktops", "1"), ensure_server(folder).url
    where = {"e2b_api_key": made, "e2b_api_url": url, "e2b_sandbox_url": url}
    yield Settings(home=home, model="none", **where)  # type: ignore[arg-type]
    key("remove", "queue")


async def test_desktop_refused_by_quota_is_waited_for_and_the_run_goes_on(
    saver: Any, one_desktop: Settings, repo: Repo
) -> None:
    key, url = one_desktop.e2b_api_key, one_desktop.e2b_api_url
    assert key is not None
    options: Any = {"api_key": key.get_secret_value(), "api_url": url, "sandbox_url": url}
    config: Any = {"configurable": {"thread_id": "queue"}}
    other = await AsyncSandbox.create("base", **options)
    hasty = make_graph(saver, one_desktop.model_copy(update={"desktop_patience_s": 0.5}))
    with pytest.raises(QuotaError, match=r"quota desktops of owner 'queue' is 1.*then resume"):
        await hasty.ainvoke({"source": str(repo())}, config)
    graph, waits = make_graph(saver, one_desktop), []
    stream = graph.astream(None, config, stream_mode="custom", interrupt_after=["prepare"])
    async for event in stream:
        if event["event"] == "waiting":
            waits.append(event)
            await other.kill()
    assert [event["tries"] for event in waits] == [1]
    assert waits[0]["reason"].startswith("in the queue for a desktop: cannot create a desktop")
    state = await graph.aget_state(config)
    assert state.next == ("planner",)
    await AsyncSandbox.kill(state.values["desktop"]["id"], **options)
