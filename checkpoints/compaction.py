"""Gives the space of deleted rows back to the file system."""

import sqlite3
from contextlib import closing
from pathlib import Path

WORTH_BYTES = 1 << 20
WORTH_SHARE = 0.25
"""A database is rewritten when this many bytes of it are free, and this share of it."""


def size_of(path: Path) -> int:
    """Bytes of a database with its write-ahead log."""
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
    return sum(file.stat().st_size for file in files if file.exists())


def compact(path: Path) -> None:
    """Truncate the write-ahead log, and rewrite the database where that pays. Blocks.

    A database that another process is using is left as it is: this is no reason to fail.
    """
    if not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
        try:
            pages, free, page = (
                int(connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
            if free * page >= WORTH_BYTES and free >= pages * WORTH_SHARE:
                connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
