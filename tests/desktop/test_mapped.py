"""Files in some process's memory: found, and copied again by the next capture."""

import errno
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sentient_desktop.store.capture import Captures
from sentient_desktop.store.layers import LayerStore
from sentient_desktop.store.mapped import find_mapped

ROOT = Path("/")
"""What this very process sees, as a disk."""


FULL = """
mount -t tmpfs -o size=64k tmpfs "$1" || exit 77
dd if=/dev/zero of="$1"/big bs=4k 2> /dev/null
exec "$2" -P -c 'import sys, pathlib; from sentient_desktop.store.mapped import *
try: notices_mapped_writes(pathlib.Path(sys.argv[1]))
except OSError as error: print(error.errno)' "$1"
"""
"""Asks of a full file system whether it notices writes through memory."""


@pytest.fixture
def mapped(tmp_path: Path) -> Path:
    path = tmp_path / "a mapped file"
    path.write_bytes(bytes(mmap.PAGESIZE))
    return path


def find(path: Path) -> bool | None:
    found = find_mapped([os.getpid()], ROOT)
    return None if found is None else str(path.relative_to(ROOT)) in found


def test_file_mapped_shared_is_found_and_a_private_mapping_is_not(mapped: Path) -> None:
    with mapped.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE):
            assert find(mapped) is False
        with mmap.mmap(file.fileno(), 0):
            assert find(mapped) is True


def test_mapped_file_with_another_name_or_none_cannot_be_told(mapped: Path) -> None:
    with mapped.open("r+b") as file, mmap.mmap(file.fileno(), 0):
        other = mapped.with_name("other")
        other.hardlink_to(mapped)
        assert find(mapped) is None
        other.unlink()
        assert find(mapped) is True
        mapped.unlink()
        assert find(mapped) is None


@pytest.mark.parametrize(
    ("doubtful", "held"), [(set(), []), ({"a"}, ["a"]), (None, ["a", "b"])], ids=repr
)
def test_next_capture_holds_what_may_have_changed_without_a_trace(
    tmp_path: Path, doubtful: set[str] | None, held: list[str]
) -> None:
    disk, store = tmp_path / "disk", LayerStore(tmp_path / "layers")
    disk.mkdir()
    for name in ("a", "b"):
        (disk / name).write_text(name)
    time.sleep(0.1)  # so that neither counts as changed just now
    captures = Captures(store, overlay=True)
    captures.finish(captures.copy(disk, "first", [], lambda: doubtful))
    captures.finish(captures.copy(disk, "second", [], set))
    assert sorted(path.name for path in store.path("second").iterdir()) == held


def test_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    own = "-m" if os.geteuid() == 0 else "-Urm"
    program = ["unshare", own, "sh", "-c", FULL, "sh", str(tmp_path), sys.executable]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    if result.returncode in (1, 77):
        pytest.skip("this machine lends no namespace for a small file system")
    assert (result.returncode, result.stdout) == (0, f"{errno.ENOSPC}\n"), result.stderr
