"""Where checkpoints are: an address decides which saver opens them."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from checkpoints import postgres, sqlite
from checkpoints.postgres import PostgresSaver
from checkpoints.sqlite import SqliteSaver

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")


def open_saver(
    where: str, home: Path, key: bytes | None = None
) -> AbstractAsyncContextManager[SqliteSaver | PostgresSaver]:
    """Open the checkpoints at an address; with a key (16, 24 or 32 bytes) values are encrypted.

    `where` is empty for a file in `home`, `sqlite:///PATH` (a fourth slash begins an absolute
    path), or `postgresql://...`.

    Raises:
        ValueError: no such kind of address.
        SaverError: on entering, the database cannot be used.
    """
    if where.startswith(POSTGRES):
        return postgres.open_saver(where, key)
    if where.startswith(SQLITE) and where != SQLITE:
        return sqlite.open_saver(Path(where.removeprefix(SQLITE)).expanduser(), key)
    if where:
        scheme = f"{where.partition('://')[0]}://..." if "://" in where else "at a bare name"
        raise ValueError(f"checkpoints are at {SQLITE}PATH or {POSTGRES[0]}..., not {scheme}")
    return sqlite.open_saver(home / "checkpoints.db", key)
