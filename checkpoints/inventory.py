"""Desktops and snapshots as durable rows: what exists on servers, made by whom, and why it ended.

Rows outlive their thread for as long as what they name exists, so nothing is lost sight of.
`server` tells the servers apart that one home may have used; ids of one mean nothing to another.
"""

import json
from collections.abc import Sequence

from sqlite_utils import Database

from checkpoints.ledger_file import LedgerFile, Row, now


class Inventory:
    """The tables `desktops` and `snapshots` of a ledger. Blocking, safe from any thread.

    What is written here can be found out again from the server's own lists, so no write waits
    for the disk.
    """

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def save_desktop(
        self, desktop_id: str, *, server: str, thread: str, role: str = "", snapshot: str = ""
    ) -> None:
        """Record a desktop; of one that is known already, what was not known is added."""
        row = _desktop(desktop_id, server, thread, role=role, snapshot=snapshot)
        with self._file.writing(durable=False) as database:
            _add(database, "desktops", row)

    def end_desktop(self, desktop_id: str, why: str) -> None:
        """Record that a desktop is no more; the first reason stays."""
        with self._file.writing(durable=False) as database:
            database.execute(
                "update desktops set ended = ?, why = ? where id = ? and ended is null",
                [now(), why, desktop_id],
            )

    def save_snapshot(
        self,
        snapshot_id: str,
        *,
        server: str,
        thread: str,
        desktop: str,
        node: str = "",
        attempt: int | None = None,
        changed: Sequence[str] | None = None,
    ) -> None:
        """Record a snapshot; `changed` are the repository's files that differ from the base.

        Of one that is known already, what was not known is added.
        """
        row = {
            "id": snapshot_id, "server": server, "thread": thread, "desktop": desktop,
            "node": node or None, "attempt": attempt, "at": now(),
            "changed": None if changed is None else json.dumps(list(changed)),
        }  # fmt: skip
        with self._file.writing(durable=False) as database:
            _add(database, "desktops", _desktop(desktop, server, thread))
            _add(database, "snapshots", row)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Record that a snapshot was deleted on its server."""
        with self._file.writing(durable=False) as database:
            database.execute(
                "update snapshots set deleted = ? where id = ? and deleted is null",
                [now(), snapshot_id],
            )

    def desktops(self, server: str) -> list[Row]:
        """Desktops of a server that may exist, or whose snapshots were not all listed yet."""
        query = "select * from desktops where server = ? and listed is null order by created, id"
        return self._file.rows(query, [server])

    def snapshots(self, server: str) -> list[Row]:
        """Snapshots of a server that threads have for themselves and that exist, oldest first."""
        query = (
            "select * from snapshots where server = :server and deleted is null and id not in"
            " (select snapshot from environments where server = :server and snapshot is not null)"
            " order by at, id"
        )
        return self._file.rows(query, {"server": server})

    def mark_listed(self, desktop_id: str) -> None:
        """Record that every snapshot of an ended desktop is in the inventory: no more can come."""
        with self._file.writing(durable=False) as database:
            database.execute(
                "update desktops set listed = ? where id = ? and ended is not null",
                [now(), desktop_id],
            )

    def drop_ended(self) -> None:
        """Remove the rows of what is no more, for threads that were forgotten."""
        with self._file.writing(durable=False) as database:
            database.table("snapshots").delete_where(
                "deleted is not null and thread not in (select id from threads)"
            )
            database.table("desktops").delete_where(
                "listed is not null and thread not in (select id from threads)"
                " and id not in (select desktop from snapshots)"
            )


def _add(database: Database, table: str, row: Row) -> None:
    """Insert a row; in one that is there, fill what is NULL."""
    filled = ", ".join(f"{name} = coalesce({name}, excluded.{name})" for name in row)
    values = ", ".join(f":{name}" for name in row)
    database.execute(
        f"insert into {table} ({', '.join(row)}) values ({values})"  # noqa: S608 -- our own names
        f" on conflict (id) do update set {filled}",
        row,
    )


def _desktop(
    desktop_id: str, server: str, thread: str, *, role: str = "", snapshot: str = ""
) -> Row:
    return {
        "id": desktop_id, "server": server, "thread": thread, "role": role or None,
        "snapshot": snapshot or None, "created": now(),
    }  # fmt: skip
