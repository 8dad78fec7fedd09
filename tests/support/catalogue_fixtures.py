"""Fixtures that carry out cases of the catalogue, through the real tester and reviewer.

A conftest takes them with ``from catalogue_fixtures import ...``.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from catalogue.cases import COMMANDS, REPOSITORIES, Case
from desktops import kill_desktops
from samples import write_files
from scripted_model import Script, call, scripted_model

from checkpoints.sqlite import open_saver
from graphs.engineering import make_graph
from nodes.desktops import OWNER
from tools.connection import Connection
from tools.settings import Settings

DONE = call("hand_in", summary="done")


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
                    files = REPOSITORIES[repository]
                    source = write_files(folder / repository, files)
                    tests = COMMANDS.get(repository, "")
                    given = {"source": str(source), "tests": tests, "max_attempts": 1}
                    config = {"configurable": {"thread_id": repository}}
                    install = "devDependencies" in files.get("package.json", "")
                    graph = make_graph(saver, settings.model_copy(update={"install": install}))
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
