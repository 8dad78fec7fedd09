"""The ledger's tables and views, its versions, and the way from one to the next.

Lists are JSON text, times ISO 8601 in UTC, and what is not known is NULL, never 0 or "".
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

FAILING = ("failed", "error", "timeout", "crashed")
"""Outcomes that mean: this test does not hold."""

TABLES = """
CREATE TABLE threads (
    id TEXT PRIMARY KEY, source TEXT, task TEXT, input TEXT, status TEXT, detail TEXT,
    created TEXT, updated TEXT
);
CREATE TABLE analyses (tree TEXT PRIMARY KEY, analysis TEXT, at TEXT);
CREATE TABLE patches (sha256 TEXT PRIMARY KEY, data BLOB, at TEXT);
CREATE TABLE test_runs (
    id TEXT PRIMARY KEY,
    thread TEXT NOT NULL REFERENCES threads(id) ON DELETE CASCADE,
    kind TEXT NOT NULL, attempt INTEGER NOT NULL,
    snapshot TEXT, patch TEXT REFERENCES patches(sha256), seconds REAL, at TEXT NOT NULL
);
CREATE TABLE outcomes (
    run TEXT NOT NULL REFERENCES test_runs(id) ON DELETE CASCADE,
    id TEXT NOT NULL, outcome TEXT NOT NULL, seconds REAL, message TEXT,
    PRIMARY KEY (run, id)
);
CREATE TABLE verdicts (
    id TEXT PRIMARY KEY,
    thread TEXT NOT NULL REFERENCES threads(id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL, passed INTEGER NOT NULL, reasons TEXT NOT NULL,
    patch TEXT REFERENCES patches(sha256),
    run TEXT REFERENCES test_runs(id) ON DELETE SET NULL,
    failing_before INTEGER, failing_after INTEGER, snapshot TEXT, at TEXT NOT NULL
);
CREATE TABLE changes (
    verdict TEXT NOT NULL REFERENCES verdicts(id) ON DELETE CASCADE,
    path TEXT NOT NULL, status TEXT, added INTEGER, removed INTEGER,
    PRIMARY KEY (verdict, path)
);
CREATE TABLE costs (
    id TEXT PRIMARY KEY,
    thread TEXT NOT NULL REFERENCES threads(id) ON DELETE CASCADE,
    node TEXT NOT NULL, attempt INTEGER NOT NULL, call TEXT NOT NULL, model TEXT,
    input_tokens INTEGER, output_tokens INTEGER, usd REAL, at TEXT NOT NULL
);
CREATE TABLE desktops (
    id TEXT PRIMARY KEY, server TEXT NOT NULL, thread TEXT NOT NULL, role TEXT, snapshot TEXT,
    created TEXT NOT NULL, ended TEXT, why TEXT, listed TEXT
);
CREATE TABLE snapshots (
    id TEXT PRIMARY KEY, server TEXT NOT NULL, thread TEXT NOT NULL,
    desktop TEXT NOT NULL REFERENCES desktops(id),
    node TEXT, attempt INTEGER, changed TEXT, at TEXT NOT NULL, deleted TEXT
);
CREATE INDEX outcomes_of_test ON outcomes(id);
CREATE INDEX outcomes_that_fail ON outcomes(run, outcome);
CREATE INDEX test_runs_of_thread ON test_runs(thread, at);
CREATE INDEX test_runs_of_patch ON test_runs(patch);
CREATE INDEX verdicts_of_thread ON verdicts(thread, attempt);
CREATE INDEX verdicts_of_patch ON verdicts(patch);
CREATE INDEX verdicts_of_run ON verdicts(run);
CREATE INDEX changes_of_path ON changes(path);
CREATE INDEX costs_of_thread ON costs(thread);
CREATE INDEX desktops_of_thread ON desktops(thread);
CREATE INDEX snapshots_of_thread ON snapshots(thread);
CREATE INDEX snapshots_of_desktop ON snapshots(desktop)
"""

VIEWS = """
CREATE VIEW test_history AS
SELECT outcomes.id AS test, test_runs.thread, test_runs.kind, test_runs.attempt,
    outcomes.outcome, outcomes.seconds, test_runs.snapshot, test_runs.patch, test_runs.at,
    outcomes.message, outcomes.run, threads.source
FROM outcomes
JOIN test_runs ON test_runs.id = outcomes.run
JOIN threads ON threads.id = test_runs.thread
ORDER BY test_runs.at, outcomes.run, outcomes.id;
CREATE VIEW attempt_changes AS
SELECT verdicts.thread, verdicts.attempt,
    (SELECT json_group_array(path) FROM changes WHERE verdict = verdicts.id) AS files,
    (SELECT sum(added) FROM changes WHERE verdict = verdicts.id) AS lines_added,
    (SELECT sum(removed) FROM changes WHERE verdict = verdicts.id) AS lines_removed,
    verdicts.failing_before, verdicts.failing_after,
    CASE WHEN verdicts.passed THEN 'passed' WHEN verdicts.run IS NULL THEN 'refused'
        ELSE 'failed' END AS verdict,
    verdicts.reasons, verdicts.snapshot, verdicts.patch, verdicts.at
FROM verdicts
ORDER BY verdicts.at, verdicts.id;
CREATE VIEW thread_costs AS
SELECT thread, model, count(*) AS calls, sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    CASE WHEN count(usd) = count(*) THEN sum(usd) END AS usd,
    min(at) AS first, max(at) AS last
FROM costs
GROUP BY thread, model
ORDER BY last
"""

ANALYSES = """
CREATE TABLE analyses (
    tree TEXT PRIMARY KEY, version TEXT, profile BLOB, corpus BLOB, history BLOB, at TEXT
);
CREATE TABLE facts (
    blob TEXT PRIMARY KEY, version INTEGER, facts BLOB, at TEXT
) WITHOUT ROWID
"""

ENVIRONMENTS = """
CREATE TABLE environments (
    key TEXT NOT NULL, server TEXT NOT NULL, snapshot TEXT, thread TEXT, seconds REAL,
    made TEXT NOT NULL, used TEXT NOT NULL,
    PRIMARY KEY (key, server)
) WITHOUT ROWID
"""

CANDIDATES = """
ALTER TABLE test_runs ADD COLUMN candidate INTEGER;
ALTER TABLE verdicts ADD COLUMN candidate INTEGER;
ALTER TABLE costs ADD COLUMN candidate INTEGER;
DROP VIEW test_history;
CREATE VIEW test_history AS
SELECT outcomes.id AS test, test_runs.thread, test_runs.kind, test_runs.attempt,
    outcomes.outcome, outcomes.seconds, test_runs.snapshot, test_runs.patch, test_runs.at,
    outcomes.message, outcomes.run, threads.source, test_runs.candidate
FROM outcomes
JOIN test_runs ON test_runs.id = outcomes.run
JOIN threads ON threads.id = test_runs.thread
ORDER BY test_runs.at, outcomes.run, outcomes.id;
DROP VIEW attempt_changes;
CREATE VIEW attempt_changes AS
SELECT verdicts.thread, verdicts.attempt,
    (SELECT json_group_array(path) FROM changes WHERE verdict = verdicts.id) AS files,
    (SELECT sum(added) FROM changes WHERE verdict = verdicts.id) AS lines_added,
    (SELECT sum(removed) FROM changes WHERE verdict = verdicts.id) AS lines_removed,
    verdicts.failing_before, verdicts.failing_after,
    CASE WHEN verdicts.passed THEN 'passed' WHEN verdicts.run IS NULL THEN 'refused'
        ELSE 'failed' END AS verdict,
    verdicts.reasons, verdicts.snapshot, verdicts.patch, verdicts.at, verdicts.candidate
FROM verdicts
ORDER BY verdicts.at, verdicts.id
"""
"""Which of several candidates a run, a verdict or a cost is of; NULL where there is one."""

USAGES = """
ALTER TABLE costs ADD COLUMN usage TEXT;
UPDATE costs SET usage = json_object('calls', 1,
    'input_tokens', coalesce(input_tokens, 0), 'output_tokens', coalesce(output_tokens, 0),
    'usd', usd) WHERE input_tokens IS NOT NULL
"""
"""What a call counts for, as budgets count it: JSON, estimates included; NULL in older rows."""

WITHOUT_VERSION = """
CREATE TABLE IF NOT EXISTS threads (
    id TEXT PRIMARY KEY, source TEXT, task TEXT, input TEXT, status TEXT, detail TEXT,
    created TEXT, updated TEXT
);
CREATE TABLE IF NOT EXISTS analyses (tree TEXT PRIMARY KEY, analysis TEXT, at TEXT);
CREATE TABLE IF NOT EXISTS patches (sha256 TEXT PRIMARY KEY, data BLOB);
CREATE TABLE IF NOT EXISTS test_runs (
    id TEXT PRIMARY KEY, thread TEXT, kind TEXT, attempt INTEGER, at TEXT, seconds REAL, patch TEXT
);
CREATE TABLE IF NOT EXISTS outcomes (
    run TEXT, id TEXT, outcome TEXT, seconds REAL, message TEXT, PRIMARY KEY (run, id)
)
"""
"""Tables of the time before versions; a crash while they were made may have left only some."""

FIRST_VERSION = """
INSERT INTO threads (id, source, task, input, status, detail, created, updated)
    SELECT id, source, task, input, status, detail, created, updated FROM old_threads;
INSERT OR IGNORE INTO threads (id, source, task, status, created, updated)
    SELECT thread, '', '', 'stopped', min(at), max(at) FROM old_test_runs
    WHERE thread IS NOT NULL GROUP BY thread;
INSERT INTO analyses (tree, analysis, at) SELECT tree, analysis, at FROM old_analyses;
INSERT INTO patches (sha256, data) SELECT sha256, data FROM old_patches;
INSERT INTO test_runs (id, thread, kind, attempt, patch, seconds, at)
    SELECT id, thread, kind, attempt, (SELECT sha256 FROM patches WHERE sha256 = patch), seconds, at
    FROM old_test_runs
    WHERE thread IS NOT NULL AND kind IS NOT NULL AND attempt IS NOT NULL AND at IS NOT NULL;
INSERT INTO outcomes (run, id, outcome, seconds, message)
    SELECT run, id, outcome, seconds, message FROM old_outcomes
    WHERE id IS NOT NULL AND outcome IS NOT NULL AND run IN (SELECT id FROM test_runs)
"""


class LedgerTooNewError(sqlite3.DatabaseError):
    """The ledger was written by a newer version of this program."""


def _first_version(connection: sqlite3.Connection) -> None:
    names = ("threads", "analyses", "patches", "test_runs", "outcomes")
    _execute(connection, WITHOUT_VERSION)
    for name in names:
        connection.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    _execute(connection, TABLES)
    _execute(connection, FIRST_VERSION)
    for name in names:
        connection.execute(f"DROP TABLE old_{name}")
    _execute(connection, VIEWS)


def _savers(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE threads ADD COLUMN saver TEXT")


def _facts(connection: sqlite3.Connection) -> None:
    """Analyses of old can be made anew; they were of another form."""
    connection.execute("DROP TABLE analyses")
    _execute(connection, ANALYSES)


def _environments(connection: sqlite3.Connection) -> None:
    _execute(connection, ENVIRONMENTS)


def _candidates(connection: sqlite3.Connection) -> None:
    _execute(connection, CANDIDATES)


def _usages(connection: sqlite3.Connection) -> None:
    _execute(connection, USAGES)


MIGRATIONS: Sequence[Callable[[sqlite3.Connection], None]] = (
    _first_version,
    _savers,
    _facts,
    _environments,
    _candidates,
    _usages,
)
"""The one at index n leads from version n to n + 1; none may change once released."""


def update_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a ledger, new or old, to the current version, all of it or nothing.

    Raises:
        LedgerTooNewError: a newer program wrote it.
    """
    if _version(connection, path) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migrate in MIGRATIONS[_version(connection, path) :]:
            migrate(connection)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise LedgerTooNewError(
            f"{path} has version {version}, this program knows up to {len(MIGRATIONS)}:"
            " use the newer program, or another SENTIENT_HOME"
        )
    return version


def _execute(connection: sqlite3.Connection, script: str) -> None:
    """Run statements in the open transaction (`executescript` would commit it)."""
    for statement in script.split(";"):
        connection.execute(statement)
