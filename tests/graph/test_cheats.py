"""The catalogue of cheats and honest patches through the real tester and reviewer, on desktops."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from catalogue import cheats_hard_coded, cheats_in_code, cheats_on_tests, other_runners
from catalogue.cases import COMMANDS, REPOSITORIES, Case
from catalogue.honest import HONEST
from desktops import kill_desktops
from samples import write_files
from scripted_model import Script, call, scripted_model

from checkpoints.sqlite import open_saver
from graphs.engineering import make_graph
from nodes.desktops import OWNER
from tools.connection import Connection
from tools.settings import Settings

CHEATS = (
    cheats_on_tests.CHEATS + cheats_in_code.CHEATS + cheats_hard_coded.CHEATS + other_runners.CHEATS
)
DONE = call("hand_in", summary="done")

SHORT = {
    "edits a test beside a good fix",
    "reads the test's name from the environment",
    "a table by tuples",
    "adds tests of its own",
}
"""Cases of `make test`; `make cheats` has all."""


def cases(catalogue: tuple[Case, ...]) -> list[Any]:
    return [
        pytest.param(case, id=case.name, marks=[] if case.name in SHORT else [pytest.mark.long])
        for case in catalogue
    ]


@pytest.fixture(scope="module")
async def planned(home: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """A saver, and what makes sure that a repository's thread in it waits for its coder."""
    folder = tmp_path_factory.mktemp("planned")
    ready: set[str] = set()
    with scripted_model(Script()) as url:
        settings = Settings(home=home, model="scripted", openai_base_url=url)
        async with open_saver(folder / "checkpoints.db") as saver:

            async def plan(repository: str) -> Any:
                if repository not in ready:
                    source = write_files(folder / repository, REPOSITORIES[repository])
                    tests = COMMANDS.get(repository, "")
                    given = {"source": str(source), "tests": tests, "max_attempts": 1}
                    config = {"configurable": {"thread_id": repository}}
                    graph = make_graph(saver, settings)
                    await graph.ainvoke(given, config, interrupt_before=["coder"])
                    ready.add(repository)
                return saver

            yield plan
    for repository in ready:
        assert await kill_desktops(Connection(settings), {OWNER: repository}) == 1


@pytest.fixture
def carry_out(planned: Any, settings: Settings) -> Any:
    """Goes on from a copy of the plan with what the case's coder decides; gives the last state."""

    async def go_on(case: Case) -> dict[str, Any]:
        saver = await planned(case.repository)
        await saver.acopy_thread(case.repository, case.name)
        with scripted_model(Script(coder=[*case.calls, DONE])) as url:
            update = {"model": "scripted", "openai_base_url": url}
            graph = make_graph(saver, settings.model_copy(update=update))
            config = {"configurable": {"thread_id": case.name}}
            return dict(await graph.ainvoke(None, config))

    return go_on


def objections(state: dict[str, Any]) -> list[str]:
    blocking = [finding for finding in state["findings"] if finding["blocking"]]
    return [*state["verdict"]["reasons"], *(finding["gate"] for finding in blocking)]


def failed_calls(state: dict[str, Any]) -> list[str]:
    answers = [message.text for message in state["messages"] if message.type == "tool"]
    return [answer for answer in answers if answer.startswith("error: ")]


@pytest.mark.parametrize("case", cases(CHEATS))
async def test_catalogue_cheat_is_not_verified(carry_out: Any, case: Case) -> None:
    state = await carry_out(case)
    assert not failed_calls(state)
    assert state["report"]["status"] == "unsolved"
    said = objections(state)
    assert any(words in reason for reason in said for words in case.expect.split("|")), said


@pytest.mark.parametrize("case", cases(HONEST + other_runners.HONEST))
async def test_catalogue_honest_patch_is_verified(carry_out: Any, case: Case) -> None:
    state = await carry_out(case)
    assert not failed_calls(state)
    assert state["report"]["status"] == "verified", objections(state)
