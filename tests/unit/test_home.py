"""The id of a home folder."""

import multiprocessing
from pathlib import Path

import pytest

from tools.errors import EnvironmentFaultError
from tools.home import home_id


def test_home_id_is_private_and_stays(tmp_path: Path) -> None:
    first = home_id(tmp_path / "home")
    assert len(first) == 32
    assert home_id(tmp_path / "home") == first
    assert (tmp_path / "home/home-id").stat().st_mode & 0o777 == 0o600
    assert home_id(tmp_path / "other") != first
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["home-id"]


def test_home_id_many_processes_at_once_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        ids = pool.map(home_id, [tmp_path / "home"] * 30)
    assert len(set(ids)) == 1
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["home-id"]


def test_home_id_empty_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "home-id").touch()
    with pytest.raises(EnvironmentFaultError, match=r"home-id is empty \(if it never held an id"):
        home_id(tmp_path)
