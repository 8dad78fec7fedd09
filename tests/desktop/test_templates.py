"""Templates: the packages they add, where those are, and who else has them."""

import asyncio
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from desktop_fixtures import Create
from e2b.exceptions import SandboxException

from sentient_desktop.errors import ApiError
from sentient_desktop.templates.recipes import RECIPES, Recipe, find_program
from sentient_desktop.templates.shelf import Shelf

SCIENCE = "import numpy, pandas, matplotlib; print(numpy.arange(3).sum(), pandas.__file__)"


async def test_interpreter_template_has_the_packages_read_only(create: Create) -> None:
    desktop = await create("code-interpreter-v1")
    shown = await desktop.commands.run(f"python -c '{SCIENCE}'", timeout=60)
    assert shown.stdout == "3 /opt/packages/pandas/__init__.py\n"
    refused = await desktop.commands.run("touch /opt/packages/mine || true")
    assert "Read-only" in refused.stderr


async def test_base_template_has_no_packages_of_others(desktop: object) -> None:
    result = await desktop.commands.run("ls /opt/packages || true")  # type: ignore[attr-defined]
    assert "No such file" in result.stderr


async def test_snapshot_of_a_template_keeps_its_packages(create: Create) -> None:
    first = await create("code-interpreter-v1")
    snapshot = await first.create_snapshot(mode="filesystem")
    second = await create((await (await create(snapshot.snapshot_id)).create_snapshot(
        mode="filesystem")).snapshot_id)  # fmt: skip
    result = await second.commands.run("python -c 'import numpy'", timeout=60)
    assert result.exit_code == 0


async def test_node_template_runs_node(create: Create) -> None:
    if not find_program("node"):
        with pytest.raises(SandboxException, match="needs node under /usr"):
            await create("node")
        return
    desktop = await create("node")
    assert (await desktop.commands.run("node -p 1+1")).stdout == "2\n"


async def test_unknown_template_is_refused_by_name(create: Create) -> None:
    with pytest.raises(SandboxException, match="template 'nonsense' not found"):
        await create("nonsense")


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template of one package that lies here, and one of a package that lies nowhere."""
    wheel = tmp_path / "small-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("small/__init__.py", "")
        archive.writestr(
            "small-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1\n"
        )
        archive.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr("small-1.dist-info/RECORD", "")
    monkeypatch.setitem(RECIPES, "small", Recipe((str(wheel),)))
    monkeypatch.setitem(RECIPES, "broken", Recipe((str(tmp_path / "missing-1-py3-none-any.whl"),)))


@pytest.mark.usefixtures("recipes")
async def test_shelf_asked_at_once_builds_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    paths = await asyncio.gather(*(shelf.ensure("small") for _ in range(5)))
    assert len(set(paths)) == 1
    assert list((tmp_path / "shelf").iterdir()) == [paths[0]]
    assert (paths[0] / "small/__pycache__").is_dir()


@pytest.mark.usefixtures("recipes")
async def test_shelf_that_cannot_build_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="missing-1-py3") as refusal:
        await Shelf(tmp_path / "shelf").ensure("broken")
    assert refusal.value.status == 503
    assert list((tmp_path / "shelf").iterdir()) == []


def test_build_of_a_template_without_packages_says_so() -> None:
    command = [sys.executable, "-m", "sentient_desktop", "build", "base"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "this template adds no packages\n"


@pytest.mark.long
async def test_data_template_computes_with_every_engine(create: Create) -> None:
    desktop = await create("data", timeout=600)
    program = (
        "import pandas, pyarrow.parquet as p, pyarrow\n"
        "p.write_table(pyarrow.table({'x': [1, 2]}), 't.parquet')\n"
        "print(pandas.read_parquet('t.parquet').x.sum())\n"
    )
    await desktop.files.write("columns.py", program)
    assert (await desktop.commands.run("python columns.py", timeout=120)).stdout == "3\n"
    if shutil.which("java"):
        spark = (
            "from pyspark.sql import SparkSession\n"
            "print(SparkSession.builder.master('local[1]').getOrCreate().range(10).count())\n"
        )
        await desktop.files.write("spark.py", spark)
        assert (await desktop.commands.run("python spark.py", timeout=300)).stdout == "10\n"
