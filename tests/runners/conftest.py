"""Real vitest and jest, from the npm registry of whoever runs this: `make test-runners`."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from catalogue_fixtures import carry_out, planned

from checkpoints.sqlite import open_saver
from tools.settings import Settings

__all__ = ["carry_out", "planned"]


@pytest.fixture
async def saver(tmp_path: Path) -> AsyncIterator[Any]:
    async with open_saver(tmp_path / "checkpoints.db") as opened:
        yield opened


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings under which what a package.json asks for is installed."""
    return settings.model_copy(update={"install": True})
