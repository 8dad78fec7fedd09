"""Databases of every kind that savers open: a conftest takes these fixtures from here."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from postgres import Postgres, postgres_server

from checkpoints.savers import open_saver

KEY = b"0123456789abcdef"
KINDS = ["sqlite", "sqlite encrypted", "postgres", "postgres encrypted"]
Open = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture(params=KINDS)
def open_new(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens an empty database of one kind each time."""
    numbers = count()
    key = KEY if "encrypted" in request.param else None

    def open_one() -> AbstractAsyncContextManager[Any]:
        where = f"sqlite:///{tmp_path}/{next(numbers)}.db"
        if "postgres" in request.param:
            postgres = request.getfixturevalue("server")
            where = postgres.make_database(request.param.replace(" ", "_") + "_checkpoints")
        return open_saver(where, tmp_path, key)

    return open_one


@pytest.fixture
async def saver(open_new: Open) -> AsyncIterator[Any]:
    async with open_new() as opened:
        yield opened
