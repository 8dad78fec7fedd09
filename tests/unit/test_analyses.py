"""What the ledger keeps of repositories' contents."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from checkpoints.ledger import Ledger

PARTS = {"profile": b"{}", "corpus": b"\x00\x01", "history": b"[]"}


def test_analyses_are_found_by_tree_and_version_alone(tmp_path: Path) -> None:
    store = Ledger(tmp_path / "ledger.db").analyses
    store.save_analysis("tree", "1.1", PARTS)
    assert store.analysis("tree", "1.1") == PARTS
    assert store.analysis("tree", "1.2") is None
    assert store.analysis("other", "1.1") is None
    store.save_analysis("tree", "1.2", PARTS | {"corpus": b"new"})
    assert store.analysis("tree", "1.1") is None
    assert (store.analysis("tree", "1.2") or {})["corpus"] == b"new"


def test_facts_are_found_among_thousands_by_blob_and_version(tmp_path: Path) -> None:
    store = Ledger(tmp_path / "ledger.db").analyses
    facts = {f"{number:040x}": b"%d" % number for number in range(1200)}
    store.save_facts(facts, 1)
    assert store.facts([*facts, "f" * 40], 1) == facts
    assert store.facts(facts, 2) == {}
    store.save_facts({"0" * 40: b"again"}, 2)
    assert store.facts(["0" * 40], 2) == {"0" * 40: b"again"}


def test_prune_of_analyses_deletes_what_was_kept_before(tmp_path: Path) -> None:
    store = Ledger(tmp_path / "ledger.db").analyses
    store.save_analysis("tree", "1", PARTS)
    store.save_facts({"0" * 40: b"x"}, 1)
    store.prune(datetime.now(UTC) - timedelta(hours=1))
    assert store.facts(["0" * 40], 1)
    store.prune(datetime.now(UTC) + timedelta(hours=1))
    assert store.facts(["0" * 40], 1) == {}
    assert store.analysis("tree", "1") is None
