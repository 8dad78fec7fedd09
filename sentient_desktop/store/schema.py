"""The registry's schema: versions, migrations between them, and columns that follow the records.

Adding a field with a default to a record needs nothing here: its column is added at the next start,
and rows from before read as the default. A migration is for what a default cannot say, and for what
an older program would misunderstand: raising the version keeps that program out.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sentient_desktop.errors import LaunchError

Columns = Mapping[str, str]
"""Column name to SQLite type."""

Migration = Callable[[sqlite3.Connection], None]


def _make_tables(connection: sqlite3.Connection) -> None:
    """Version 0 is an empty file, or a registry from before versions were kept."""
    for table, key in (("desktops", "id"), ("snapshots", "id"), ("facts", "name")):
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({key} TEXT PRIMARY KEY)")


MIGRATIONS: Sequence[Migration] = (_make_tables,)
"""The one at index n leads from version n to n + 1; none may ever change once released."""


def update_schema(connection: sqlite3.Connection, path: Path, tables: Mapping[str, Columns]) -> int:
    """Bring the database at ``path`` to the current version, all of it or nothing.

    Before the first change a copy is put beside it, ``<name>.backup-v<version>``; an empty database
    has none. Returns the version it had.

    Raises:
        LaunchError: it was written by a newer program.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise LaunchError(
            f"{path} has schema version {version} and this program knows up to {len(MIGRATIONS)}: "
            f"use the newer program, or put {path.name}.backup-v{len(MIGRATIONS)} in its place"
        )
    if version == len(MIGRATIONS) and not any(
        _missing(connection, table, columns) for table, columns in tables.items()
    ):
        return version
    if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        _back_up(connection, path.with_name(f"{path.name}.backup-v{version}"))
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migrate in MIGRATIONS[version:]:
            migrate(connection)
        for table, columns in tables.items():
            for name, kind in _missing(connection, table, columns).items():
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
    return version


def _missing(connection: sqlite3.Connection, table: str, columns: Columns) -> dict[str, str]:
    there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    return {name: kind for name, kind in columns.items() if name not in there}


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the database to ``target``, whole or not at all. Mode 0600: it holds tokens."""
    draft = target.with_name(f"{target.name}.unfinished")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    copy = sqlite3.connect(draft)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    draft.replace(target)
