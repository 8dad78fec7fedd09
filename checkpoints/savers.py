"""Where checkpoints are: an address decides which saver opens them."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from checkpoints import sqlite
from checkpoints.sqlite import SqliteSaver

if TYPE_CHECKING:
    from checkpoints.postgres import PostgresSaver

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")


def database_file(where: str, home: Path) -> Path | None:
    """The file that holds the checkpoints at an address; None when a server holds them."""
    if where.startswith(SQLITE) and where != SQLITE:
        return Path(where.removeprefix(SQLITE)).expanduser()
    return None if where else home / "checkpoints.db"


def open_saver(
    where: str, home: Path, key: bytes | None = None
) -> "AbstractAsyncContextManager[SqliteSaver | PostgresSaver]":
    """Open the checkpoints at an address; with a key (16, 24 or 32 bytes) values are encrypted.

    `where` is empty for a file in `home`, `sqlite:///PATH` (a fourth slash begins an absolute
    path), or `postgresql://...`.

    Raises:
        ValueError: no such kind of address.
        SaverError: on entering, the database cannot be used.
    """
    if where.startswith(POSTGRES):
        from checkpoints import postgres  # noqa: PLC0415 -- its driver takes a while to import

        return postgres.open_saver(where, key)
    path = database_file(where, home)
    if path is None:
        scheme = f"{where.partition('://')[0]}://..." if "://" in where else "at a bare name"
        raise ValueError(f"checkpoints are at {SQLITE}PATH or {POSTGRES[0]}..., not {scheme}")
    return sqlite.open_saver(path, key)
