"""Environments that were installed: snapshots by what they were made from, for every thread."""

from datetime import datetime

from checkpoints.ledger_file import LedgerFile, now, time_text


class Environments:
    """The table `environments` of a ledger. Blocking, safe from any thread.

    A snapshot that is named here stays, whichever thread it was taken for. What is here can be
    made again, so no write waits for the disk.
    """

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def find(self, key: str, server: str) -> str | None:
        """The snapshot under a key, "" where nothing had to be installed; None if not known.

        Counts as a use.
        """
        with self._file.writing(durable=False) as database:
            database.execute(
                "update environments set used = ? where key = ? and server = ?",
                [now(), key, server],
            )
        query = "select snapshot from environments where key = ? and server = ?"
        rows = self._file.rows(query, [key, server])
        return str(rows[0]["snapshot"] or "") if rows else None

    def save(self, key: str, server: str, snapshot: str, *, thread: str, seconds: float) -> None:
        """Keep a snapshot under a key, in the place of any other."""
        row = {
            "key": key, "server": server, "snapshot": snapshot or None, "thread": thread,
            "seconds": seconds, "made": now(), "used": now(),
        }  # fmt: skip
        with self._file.writing(durable=False) as database:
            database.table("environments").upsert(row, pk=("key", "server"))

    def forget(self, snapshot: str) -> None:
        """Let go of a snapshot that is of no use any more."""
        with self._file.writing(durable=False) as database:
            database.table("environments").delete_where("snapshot = ?", [snapshot])

    def prune(self, before: datetime) -> None:
        """Let go of what nobody used since a moment."""
        with self._file.writing(durable=False) as database:
            database.table("environments").delete_where("used < ?", [time_text(before)])
