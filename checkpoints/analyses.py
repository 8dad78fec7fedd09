"""Analyses of repositories: facts by git blob, whole analyses by git tree.

Both say of contents that are named by their hash, so they are shared by all threads, and can be
made again: no write waits for the disk. Rows of another version are as good as none.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from checkpoints.ledger_file import LedgerFile, now, time_text

CHUNK = 500


class Analyses:
    """The tables `facts` and `analyses` of a ledger. Blocking, safe from any thread."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def analysis(self, tree: str, version: str) -> dict[str, bytes] | None:
        """The parts of a tree's analysis, or None."""
        query = "select profile, corpus, history from analyses where tree = ? and version = ?"
        rows = self._file.rows(query, [tree, version])
        return {name: bytes(value) for name, value in rows[0].items()} if rows else None

    def save_analysis(self, tree: str, version: str, parts: Mapping[str, bytes]) -> None:
        """Keep an analysis: its parts `profile`, `corpus` and `history`."""
        with self._file.writing(durable=False) as database:
            row = {"tree": tree, "version": version, **parts, "at": now()}
            database.table("analyses").upsert(row, pk="tree")

    def facts(self, blobs: Iterable[str], version: int) -> dict[str, bytes]:
        """What is known of those of the blobs of which anything is known."""
        wanted, found = list(dict.fromkeys(blobs)), {}
        for start in range(0, len(wanted), CHUNK):
            part = wanted[start : start + CHUNK]
            marks = ",".join("?" * len(part))
            query = f"select blob, facts from facts where version = ? and blob in ({marks})"  # noqa: S608
            for row in self._file.rows(query, [version, *part]):
                found[str(row["blob"])] = bytes(row["facts"])
        return found

    def save_facts(self, facts: Mapping[str, bytes], version: int) -> None:
        """Keep what is known of blobs."""
        rows = [(blob, version, data, now()) for blob, data in facts.items()]
        with self._file.writing(durable=False) as database:
            database.conn.executemany("insert or replace into facts values (?, ?, ?, ?)", rows)

    def prune(self, before: datetime) -> None:
        """Delete what was kept before a moment; what is needed again is made again."""
        with self._file.writing(durable=False) as database:
            for table in ("facts", "analyses"):
                database.table(table).delete_where("at < ?", [time_text(before)])
