"""The server under measurement: one of its own, on a fresh folder, ended afterwards."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2b_code_interpreter.code_interpreter_async import AsyncSandbox

from sentient_desktop import ensure_server, stop_server
from sentient_desktop.launch import find_server

ENOUGH_S = 3600


@dataclass(frozen=True)
class Subject:
    """A running server, as the official SDK reaches it."""

    options: dict[str, Any]
    pid: int
    data_dir: Path

    async def create(self, template: str = "base", **choices: Any) -> AsyncSandbox:
        """Make a desktop."""
        return await AsyncSandbox.create(template, timeout=ENOUGH_S, **choices, **self.options)

    @asynccontextmanager
    async def desktop(self, template: str = "base") -> AsyncIterator[AsyncSandbox]:
        """Make a desktop that is killed at the end."""
        made = await self.create(template)
        try:
            yield made
        finally:
            with suppress(Exception):
                await made.kill()


@asynccontextmanager
async def serve() -> AsyncIterator[Subject]:
    """Start a server on a temporary folder; stop it and remove the folder at the end."""
    folder = Path(tempfile.mkdtemp(prefix="sentient-bench-"))
    try:
        endpoint = ensure_server(folder / "desktop")
        found = find_server(folder / "desktop")
        assert found is not None
        options = {
            "api_url": endpoint.url, "sandbox_url": endpoint.url, "api_key": endpoint.api_key,
            "retries": 0, "request_timeout": 600,
        }  # fmt: skip
        yield Subject(options, found[1], folder / "desktop")
    finally:
        stop_server(folder / "desktop")
        shutil.rmtree(folder, ignore_errors=True)
