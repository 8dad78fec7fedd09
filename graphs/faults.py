"""Failures of the databases below a run, in the project's own words."""

import errno
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from checkpoints.errors import SaverError
from tools.errors import StorageError

FULL = "make room on the disk"
HINTS = {
    sqlite3.SQLITE_BUSY: "another process is writing to it; try again when that is done",
    sqlite3.SQLITE_LOCKED: "another process is writing to it; try again when that is done",
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR: "see whether the disk is full or failing",
    sqlite3.SQLITE_READONLY: "see who may write to SENTIENT_HOME",
    sqlite3.SQLITE_CANTOPEN: "see who may write to SENTIENT_HOME",
    sqlite3.SQLITE_CORRUPT: "put back a copy of SENTIENT_HOME",
    sqlite3.SQLITE_NOTADB: "it is no database of ours; move it away, or put back a copy",
}
DISK = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: HINTS[sqlite3.SQLITE_READONLY]}


def storage_error(error: BaseException) -> StorageError | None:
    """The failure of a database or a full disk as one of ours; None for any other error."""
    if isinstance(error, SaverError):
        return StorageError(str(error), hint=error.hint)
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        hint = HINTS.get(code, "")
        return StorageError(f"a database of threads cannot be used: {error}", hint=hint)
    postgres = sys.modules.get("psycopg")  # imported by whatever can have raised its errors
    if postgres and isinstance(error, postgres.Error):
        return StorageError(
            f"the checkpoints in Postgres cannot be used: {error}", hint="see whether it runs"
        )
    if isinstance(error, OSError) and error.errno in DISK:
        return StorageError(f"a file cannot be written: {error}", hint=DISK[error.errno])
    return None


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise what goes wrong with databases inside the block as `StorageError`."""
    try:
        yield
    except Exception as error:
        ours = storage_error(error)
        if ours is None:
            raise
        raise ours from error
