"""A desktop that the server's quota refuses is waited for, visibly and not for ever."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox
from samples import Repo
from scripted_model import Script, call, scripted_model

from graphs.engineering import make_graph
from sentient_desktop import ensure_server
from sentient_desktop.__main__ import main
from tools.errors import QuotaError
from tools.settings import Settings


@pytest.fixture
def few_desktops(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Iterator[Settings]:
    """Settings of an owner who may have so many desktops on the shared server."""
    folder = home / "desktop"

    def key(*arguments: str) -> str:
        argv = ["sentient_desktop", "key", *arguments, "--data-dir", str(folder)]
        monkeypatch.setattr(sys, "argv", argv)
        assert main() == 0
        return capsys.readouterr().out.strip()

    made, url = key("add", "queue", "--max-desktops", str(request.param)), ensure_server(folder).url
    where = {"e2b_api_key": made, "e2b_api_url": url, "e2b_sandbox_url": url}
    yield Settings(home=home, model="none", **where)  # type: ignore[arg-type]
    key("remove", "queue")


@pytest.mark.parametrize("few_desktops", [1], indirect=True)
async def test_desktop_refused_by_quota_is_waited_for_and_the_run_goes_on(
    saver: Any, few_desktops: Settings, repo: Repo
) -> None:
    key, url = few_desktops.e2b_api_key, few_desktops.e2b_api_url
    assert key is not None
    options: Any = {"api_key": key.get_secret_value(), "api_url": url, "sandbox_url": url}
    config: Any = {"configurable": {"thread_id": "queue"}}
    other = await AsyncSandbox.create("base", **options)
    hasty = make_graph(saver, few_desktops.model_copy(update={"desktop_patience_s": 0.5}))
    with pytest.raises(QuotaError, match=r"quota desktops of owner 'queue' is 1.*then resume"):
        await hasty.ainvoke({"source": str(repo())}, config)
    graph, waits = make_graph(saver, few_desktops), []
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


@pytest.mark.long
@pytest.mark.parametrize("few_desktops", [2], indirect=True)
async def test_candidates_that_a_quota_has_no_room_for_wait_and_all_end(
    saver: Any, few_desktops: Settings, repo: Repo
) -> None:
    good = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")
    script = Script(coder=[good, call("hand_in", summary="done")])
    given: Any = {"source": str(repo()), "candidates": 4}
    with scripted_model(script) as url:
        changes = {"model": "scripted", "openai_base_url": url}
        graph = make_graph(saver, few_desktops.model_copy(update=changes))
        state = await graph.ainvoke(given, {"configurable": {"thread_id": "queue-several"}})
    assert [result["passed"] for result in state["report"]["candidates"]] == [True] * 4
