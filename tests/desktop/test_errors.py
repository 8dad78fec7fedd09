"""What failures inside the server look like to who called it."""

import errno
import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sentient_desktop.app import App
from sentient_desktop.owners import Owners
from sentient_desktop.settings import Quota


@asynccontextmanager
async def _no_fleet() -> Any:
    raise AssertionError
    yield


@pytest.mark.parametrize(
    ("error", "status", "retried", "text"),
    [
        (OSError(errno.ENOSPC, ""), 507, False, "storage failed: No space left"),
        (OSError(errno.EMFILE, ""), 503, True, "storage failed: Too many open files"),
        (sqlite3.OperationalError("database is locked"), 503, True, "storage failed: database"),
        (OSError(errno.EIO, ""), 500, False, "storage failed: Input/output error"),
        (TimeoutError("slow"), 500, True, "internal error: TimeoutError: slow"),
    ],
    ids=repr,
)
async def test_failure_is_answered_by_its_kind_and_repeated_only_where_that_may_help(
    error: Exception, status: int, retried: bool, text: str, tmp_path: Path
) -> None:
    async def fail(_request: Request) -> Response:
        raise error

    app = App(_no_fleet, Owners(tmp_path, "key", Quota()), [Route("/fail", fail)])
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        answer = await client.get("/fail", headers={"X-API-KEY": "key"})
    assert (answer.status_code, answer.json()["code"]) == (status, status)
    assert text in answer.json()["message"]
    assert answer.headers.get("should-retry") == (None if retried else "false")
