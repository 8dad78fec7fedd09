"""A connection to a desktop that is lost: one more try, then the run fails and can be resumed."""

from collections.abc import Callable
from typing import Any

import pytest
from samples import Repo

from nodes.desktops import ThreadDesktops
from tools.desktop import Desktop
from tools.errors import DesktopUnreachableError


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Loses the connection as often as told when a verdict's desktop is made; lists the tries."""
    make = ThreadDesktops.create_beside

    def lose(times: int) -> list[str]:
        tries: list[str] = []

        async def create(self: ThreadDesktops, owner: str, snapshot: str, role: str) -> Desktop:
            tries.append(role)
            if len(tries) <= times:
                raise DesktopUnreachableError("the connection was lost")
            return await make(self, owner, snapshot, role)

        monkeypatch.setattr(ThreadDesktops, "create_beside", create)
        return tries

    return lose


async def told_by(stream: Any) -> list[str]:
    return [f"{event['node']} {event['event']}" async for event in stream]


@pytest.mark.long
async def test_connection_lost_once_the_node_runs_once_more(
    engine_graph: Any, repo: Repo, losing: Callable[[int], list[str]]
) -> None:
    config: Any = {"configurable": {"thread_id": "lost-once"}}
    losing(1)
    given = {"source": str(repo())}
    told = await told_by(engine_graph.astream(given, config, stream_mode="custom"))
    assert [told.count(f"tester {event}") for event in ("started", "failed", "finished")] == [
        2,
        1,
        1,
    ]
    assert (await engine_graph.aget_state(config)).values["report"]["status"] == "verified"


@pytest.mark.long
async def test_connection_lost_again_fails_with_the_state_kept(
    engine_graph: Any, repo: Repo, losing: Callable[[int], list[str]]
) -> None:
    config: Any = {"configurable": {"thread_id": "lost-again"}}
    tries = losing(2)
    with pytest.raises(DesktopUnreachableError, match="the connection was lost"):
        await engine_graph.ainvoke({"source": str(repo())}, config)
    assert len(tries) == 2
    assert (await engine_graph.aget_state(config)).next == ("tester",)
    state = await engine_graph.ainvoke(None, config)
    assert state["report"]["status"] == "verified"
