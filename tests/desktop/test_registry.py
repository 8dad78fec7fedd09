"""The registry across versions of the program: older files are taken over, newer ones refused."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sentient_desktop import LaunchError
from sentient_desktop.store import schema
from sentient_desktop.store.records import DesktopRecord, SnapshotRecord
from sentient_desktop.store.registry import TABLES, Registry
from sentient_desktop.store.reserve import RESERVE_BYTES

UNVERSIONED = """
CREATE TABLE [desktops] ([id] TEXT PRIMARY KEY, [template] TEXT, [token] TEXT, [started_at] FLOAT,
  [end_at] FLOAT, [timeout_s] INTEGER, [state] TEXT, [uid] INTEGER, [layers] TEXT, [envs] TEXT,
  [metadata] TEXT, [auto_pause] INTEGER, [auto_pause_memory] INTEGER, [auto_resume] INTEGER,
  [monitor_pid] INTEGER, [monitor_start] INTEGER, [init_pid] INTEGER, [init_start] INTEGER);
CREATE TABLE [snapshots] ([id] TEXT PRIMARY KEY, [desktop_id] TEXT, [template] TEXT,
  [created_at] FLOAT, [uid] INTEGER, [layers] TEXT, [names] TEXT);
CREATE TABLE [facts] ([name] TEXT PRIMARY KEY, [value] TEXT);
INSERT INTO desktops VALUES ('i1', 'base', 'secret', 1.5, 2.5, 60, 'paused', 300007, '["a"]',
  '{"K": "v"}', '{}', 1, 0, 0, 0, 0, 0, 0);
INSERT INTO snapshots VALUES ('s1', 'i1', 'base', 3.5, NULL, '["a"]', '["nightly"]');
INSERT INTO facts VALUES ('next_uid', '300008');
"""
"""A registry as written before versions were kept."""

Wreck = Callable[[sqlite3.Connection], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "registry.db")) as connection:
        connection.executescript(UNVERSIONED)
    return tmp_path / "registry.db"


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_registry_without_version_is_taken_over_with_a_backup(path: Path) -> None:
    before = contents(path)
    with closing(Registry(path)) as registry:
        (desktop,) = registry.desktops()
        assert desktop == DesktopRecord(
            id="i1", template="base", token="secret", started_at=1.5, end_at=2.5, timeout_s=60,
            state="paused", uid=300007, layers=["a"], envs={"K": "v"}, auto_pause=True,
            auto_pause_memory=False,
        )  # fmt: skip
        assert registry.snapshots() == [
            SnapshotRecord(
                id="s1", desktop_id="i1", template="base", created_at=3.5, layers=["a"],
                names=["nightly"],
            )
        ]  # fmt: skip
        assert registry.take_uid(range(300_000, 301_000), set()) == 300_008
    assert version(path) == len(schema.MIGRATIONS)
    backup = path.with_name("registry.db.backup-v0")
    assert contents(backup) == before
    assert backup.stat().st_mode & 0o777 == 0o600


def test_field_without_column_reads_as_its_default_and_is_kept_from_then_on(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for name in ("auto_pause_memory", "metadata", "uid"):
            connection.execute(f"ALTER TABLE desktops DROP COLUMN {name}")
    with closing(Registry(path)) as registry:
        (desktop,) = registry.desktops()
        assert (desktop.auto_pause_memory, desktop.metadata, desktop.uid) == (True, {}, None)
        desktop.metadata, desktop.auto_pause_memory = {"a": "b"}, False
        registry.save(desktop)
    with closing(Registry(path)) as registry:
        assert registry.desktops() == [desktop]


def test_column_this_program_does_not_know_survives_it(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE desktops ADD COLUMN later TEXT")
        connection.execute("UPDATE desktops SET later = 'kept'")
        connection.commit()
    with closing(Registry(path)) as registry:
        registry.save(registry.desktops()[0])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT later FROM desktops").fetchall() == [("kept",)]


def test_current_registry_is_opened_without_another_backup(tmp_path: Path) -> None:
    for _ in range(2):
        Registry(tmp_path / "registry.db").close()
    assert not list(tmp_path.glob("*backup*"))


def test_newer_registry_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    before = contents(path)
    with pytest.raises(LaunchError, match=r"schema version \d+ and this program knows up to"):
        Registry(path)
    assert contents(path) == before
    command = [sys.executable, "-m", "sentient_desktop", "serve", "--data-dir", str(path.parent)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert "use the newer program" in result.stderr.splitlines()[-1]


def test_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE facts")
        connection.execute("nonsense")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, fail))
    before = contents(path)
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.OperationalError, match="nonsense"),
    ):
        schema.update_schema(connection, path, TABLES)
    assert contents(path) == before
    assert version(path) == 0


def test_reserve_that_was_cut_short_is_made_whole(path: Path) -> None:
    reserve = path.with_name("reserve")
    reserve.touch()
    with closing(Registry(path)):
        assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES


def test_reserve_that_cannot_be_made_keeps_no_registry_from_being_opened(path: Path) -> None:
    path.with_name("reserve").symlink_to("nowhere/reserve")
    with closing(Registry(path)) as registry:
        assert [record.id for record in registry.desktops()] == ["i1"]
