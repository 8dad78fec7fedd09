"""What checkpoints hold cannot be read without the key, and another key does no harm."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import psycopg
import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import StateGraph
from langgraph.types import interrupt
from postgres import Postgres
from samples import Run
from saver_fixtures import KEY

from checkpoints.deltas import CONVERSATION
from checkpoints.errors import SaverError
from checkpoints.savers import open_saver

CANARY = "canary-7c1f"
OTHER = b"fedcba9876543210"
Raw = Callable[[], bytes]


class Secret(TypedDict, total=False):
    task: str
    messages: Annotated[list[AnyMessage], CONVERSATION]
    facts: dict[str, str]


def secret_graph(saver: Any) -> Any:
    async def tell(state: Secret) -> Secret:
        return {"messages": [AIMessage(CANARY)], "facts": {"a": CANARY}, "task": CANARY + "!"}

    async def ask(state: Secret) -> Secret:
        return {"task": interrupt(CANARY)}

    builder = StateGraph(Secret)
    builder.add_node("tell", tell)
    builder.add_node("ask", ask)
    builder.set_entry_point("tell")
    builder.add_edge("tell", "ask")
    return builder.compile(checkpointer=saver)


CONFIG: Any = {"configurable": {"thread_id": "t"}}
GIVEN = {"task": CANARY, "messages": [HumanMessage(CANARY)]}


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Raw]:
    """An empty database's address, and what reads all of its bytes."""
    if request.param == "sqlite":
        path = tmp_path / "checkpoints.db"
        return f"sqlite:///{path}", lambda: b"".join(p.read_bytes() for p in tmp_path.glob("*.db*"))
    server: Postgres = request.getfixturevalue("server")
    name = f"secret_{abs(hash(request.node.name))}"
    url = server.make_database(name)

    def read() -> bytes:
        tables = "SELECT relname FROM pg_stat_user_tables"
        rows: list[Any] = []
        with psycopg.connect(url) as connection:
            for (table,) in connection.execute(tables).fetchall():
                query = f"SELECT t::text FROM {table} t"  # bytes in it are hexadecimal
                rows += sorted(connection.execute(query).fetchall())  # type: ignore[arg-type]
        text = str(rows)
        return text.replace(CANARY.encode().hex(), CANARY).encode()

    return url, read


async def test_encrypted_database_does_not_hold_the_canary(
    place: tuple[str, Raw], tmp_path: Path
) -> None:
    where, raw = place
    async with open_saver(where, tmp_path, KEY) as saver:
        graph = secret_graph(saver)
        await graph.ainvoke(GIVEN, CONFIG, durability="sync")
        assert CANARY.encode() not in raw()
        await saver.acopy_thread("t", "copy")
        await saver.aprune(["t"])
        assert CANARY.encode() not in raw()
        state = await graph.aget_state(CONFIG)
    assert state.values["task"] == CANARY + "!"
    assert state.values["messages"][-1].text == state.interrupts[0].value == CANARY


async def test_plain_database_does_hold_the_canary(place: tuple[str, Raw], tmp_path: Path) -> None:
    where, raw = place
    async with open_saver(where, tmp_path) as saver:
        await secret_graph(saver).ainvoke(GIVEN, CONFIG, durability="sync")
        assert CANARY.encode() in raw()


@pytest.mark.parametrize(
    ("key", "message"), [(OTHER, "encrypted with another key"), (None, "are encrypted")]
)
async def test_encrypted_database_without_its_key_is_refused_and_unchanged(
    place: tuple[str, Raw], tmp_path: Path, key: bytes | None, message: str
) -> None:
    where, raw = place
    async with open_saver(where, tmp_path, KEY) as saver:
        await secret_graph(saver).ainvoke(GIVEN, CONFIG, durability="sync")
    before = raw()
    with pytest.raises(SaverError, match=message) as refused:
        await open_saver(where, tmp_path, key).__aenter__()
    assert "LANGGRAPH_AES_KEY" in f"{refused.value} {refused.value.hint}"
    assert raw() == before
    async with open_saver(where, tmp_path, KEY) as saver:
        assert (await secret_graph(saver).aget_state(CONFIG)).values["task"] == CANARY + "!"


async def test_plain_database_can_be_encrypted_from_now_on(
    place: tuple[str, Raw], tmp_path: Path
) -> None:
    where, raw = place
    async with open_saver(where, tmp_path) as saver:
        await secret_graph(saver).ainvoke({"task": "old"}, CONFIG, durability="sync")
    async with open_saver(where, tmp_path, KEY) as saver:
        graph = secret_graph(saver)
        await graph.aupdate_state(CONFIG, {"facts": {"b": "not-in-clear"}}, as_node="tell")
        assert b"not-in-clear" not in raw()
        values = (await graph.aget_state(CONFIG)).values
    assert values["task"] == CANARY + "!"
    assert values["facts"] == {"b": "not-in-clear"}


def test_command_wrong_key_is_one_clear_line(sentient: Run, home: Path, tmp_path: Path) -> None:
    done = sentient("fix", str(tmp_path), env={"LANGGRAPH_AES_KEY": "short"})
    assert done.returncode == 2
    assert done.stderr == "sentient: LANGGRAPH_AES_KEY: the key has 5 bytes, not 16, 24 or 32\n"
