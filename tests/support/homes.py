"""Homes for the tests of a file that kills its server, or counts what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sentient_desktop import stop_server


@contextmanager
def own_home(folders: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A home folder that nobody else uses; the server that was started in it is stopped."""
    folder = folders.mktemp(f"home-{name}")
    try:
        yield folder
    finally:
        stop_server(folder / "desktop")
