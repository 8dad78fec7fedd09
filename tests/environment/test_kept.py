"""What the ledger keeps of environments."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from checkpoints.ledger import Ledger

SERVER = "embedded"


def test_environments_are_found_by_key_and_server_until_forgotten_or_unused(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    kept = ledger.environments
    kept.save("one", SERVER, "snapshot-1", thread="t", seconds=1.5)
    kept.save("none", SERVER, "", thread="t", seconds=0)
    assert kept.find("one", SERVER) == "snapshot-1"
    assert kept.find("none", SERVER) == ""
    assert kept.find("one", "elsewhere") is None
    kept.save("one", SERVER, "snapshot-2", thread="u", seconds=1)
    assert kept.find("one", SERVER) == "snapshot-2"
    kept.prune(datetime.now(UTC) - timedelta(hours=1))
    assert kept.find("one", SERVER) == "snapshot-2"
    kept.forget("snapshot-2")
    assert kept.find("one", SERVER) is None
    kept.prune(datetime.now(UTC) + timedelta(hours=1))
    assert kept.find("none", SERVER) is None
    ledger.close()


def test_inventory_snapshots_of_environments_are_nobodys_to_collect(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    for name in ("snapshot-1", "snapshot-2"):
        ledger.inventory.save_snapshot(name, server=SERVER, thread="t", desktop="d")
    ledger.environments.save("one", SERVER, "snapshot-1", thread="t", seconds=1)
    assert [row["id"] for row in ledger.inventory.snapshots(SERVER)] == ["snapshot-2"]
    ledger.environments.forget("snapshot-1")
    assert [row["id"] for row in ledger.inventory.snapshots(SERVER)] == ["snapshot-1", "snapshot-2"]
    ledger.close()
