"""One real server for a folder of tests, reached through the official SDK, stopped by its pid.

A conftest takes them with ``from desktop_fixtures import ...``.
"""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox
from e2b.exceptions import SandboxException

from sentient_desktop import Endpoint, ensure_server, stop_server
from sentient_desktop.store.trees import remove_tree

Create = Callable[..., Awaitable[AsyncSandbox]]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desktops") / "data"


@pytest.fixture(scope="session")
def server(data_dir: Path) -> Iterator[Endpoint]:
    yield ensure_server(data_dir)
    stop_server(data_dir)
    remove_tree(data_dir)  # desktops nest deeper than pytest can delete


@pytest.fixture
def folder(tmp_path: Path, server: Endpoint, data_dir: Path) -> Iterator[Path]:
    """A data folder whose parent nobody but its owner may enter, with its server ended after.

    It starts with the session's template, which takes a second to build and never changes.
    """
    assert server
    tmp_path.chmod(0o700)
    (tmp_path / "data").mkdir()
    templates = tmp_path / "data/templates"
    shutil.copytree(data_dir / "templates", templates, symlinks=True, copy_function=os.link)
    yield tmp_path / "data"
    stop_server(tmp_path / "data")
    remove_tree(tmp_path / "data")


def sdk_options(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "api_url": endpoint.url,
        "sandbox_url": endpoint.url,
        "api_key": endpoint.api_key,
        "retries": 0,
    }


@pytest.fixture(scope="session")
def options_for() -> Callable[[Endpoint], dict[str, Any]]:
    return sdk_options


@pytest.fixture
def options(server: Endpoint) -> dict[str, Any]:
    return sdk_options(server)


@pytest.fixture
async def create(options: dict[str, Any]) -> AsyncIterator[Create]:
    """Make desktops that are killed after the test, whatever became of them."""
    made: list[AsyncSandbox] = []

    async def make(template: str = "base", **choices: Any) -> AsyncSandbox:
        desktop = await AsyncSandbox.create(template, **options, **choices)
        made.append(desktop)
        return desktop

    yield make
    for desktop in made:
        with suppress(SandboxException):
            await desktop.kill()


@pytest.fixture
async def desktop(create: Create) -> AsyncSandbox:
    return await create()
