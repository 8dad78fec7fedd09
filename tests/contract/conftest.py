"""The server the contract is checked against: the embedded one, unless the environment names one.

CONTRACT_API_KEY alone means E2B cloud; CONTRACT_API_URL and CONTRACT_SANDBOX_URL another server.
Tests marked ``embedded`` say what only the embedded server does.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from desktop_fixtures import create, desktop, sdk_options
from e2b import Sandbox
from e2b.exceptions import SandboxException

from sentient_desktop import ensure_server

__all__ = ["create", "desktop"]

NAMES = {"api_key": "API_KEY", "api_url": "API_URL", "sandbox_url": "SANDBOX_URL"}
GIVEN = {option: os.environ.get(f"CONTRACT_{name}") for option, name in NAMES.items()}


@pytest.fixture(scope="session")
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Keyword arguments that lead every SDK call to the server under test."""
    if GIVEN["api_key"]:
        return {option: value for option, value in GIVEN.items() if value}
    home: Path = request.getfixturevalue("home")
    return sdk_options(ensure_server(home / "desktop"))


@pytest.fixture
def sync_desktop(options: dict[str, Any]) -> Iterator[Sandbox]:
    """A desktop of the synchronous SDK."""
    made = Sandbox.create("base", **options)
    yield made
    with suppress(SandboxException):
        made.kill()
