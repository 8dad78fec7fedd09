"""Looking at a folder, within bounds."""

from pathlib import Path

import pytest

from sentient_desktop.store.index import read_index


@pytest.mark.parametrize(("limit", "whole"), [(6, True), (5, False)])
def test_look_at_more_entries_than_the_limit_ends_without_an_index(
    tmp_path: Path, limit: int, whole: bool
) -> None:
    for name in ("a/b", "c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    (tmp_path / "a/link").symlink_to("/")
    index = read_index(tmp_path, limit)
    assert (sorted(index) if index else None) == (["", "a", "a/b", "c"] if whole else None)
