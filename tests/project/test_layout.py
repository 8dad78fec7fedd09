"""The house keeps its shape: names, sizes, imports, and no traces of this machine."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("graphs", "nodes", "tools", "checkpoints", "sentient", "sentient_desktop")
MODULE_LINES = 400
FUNCTION_LINES = 50
LARGER: dict[str, str] = {}
"""Modules or functions that may be larger, each with its reason."""

TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "benchmarks",
    "checkpoints", "docs", "examples", "graphs", "langgraph.json", "nodes", "notebooks",
    "pyproject.toml", "requirements.lock", "sentient", "sentient_desktop", "tests", "tools",
}  # fmt: skip


def tracked() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listing.splitlines() if (ROOT / path).is_file()]


def modules() -> list[str]:
    return [path for path in tracked() if path.endswith(".py")]


def test_top_level_entries_are_the_known_ones() -> None:
    assert {path.split("/")[0] for path in tracked()} == TOP_LEVEL


def test_packages_imported_from_elsewhere_are_ours(tmp_path: Path) -> None:
    program = (
        "import importlib.util as u, importlib.metadata as m\n"
        f"for name in {PACKAGES!r}:\n"
        "    print(u.find_spec(name).origin, *m.packages_distributions().get(name, []))\n"
    )
    command = [sys.executable, "-c", program]
    lines = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    for name, line in zip(PACKAGES, lines.splitlines(), strict=True):
        origin, *owners = line.split()
        assert Path(origin) == ROOT / name / "__init__.py"
        assert set(owners) <= {"sentient-core"}


@pytest.mark.parametrize("path", modules())
def test_module_size_is_within_bounds(path: str) -> None:
    text = (ROOT / path).read_text()
    if path in LARGER:
        return
    assert len(text.splitlines()) <= MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= FUNCTION_LINES, f"{path}:{node.lineno} {node.name}: {length} lines"


def test_files_hold_no_machine_paths_or_registry_addresses() -> None:
    marks = [f"{ROOT}/", "index" + "-url", "find" + "-links", '"resolved": ' + '"http']
    for path in tracked():
        if path.endswith((".svg", ".png")):
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        found = [mark for mark in marks if mark in text]
        assert not found, f"{path} holds {found}"


def test_environment_is_read_in_one_place() -> None:
    readers = [
        path
        for path in modules()
        if path.split("/")[0] in PACKAGES[:5] and "/inside/" not in path
        and not path.startswith("tools/repair/") and "os.environ" in (ROOT / path).read_text()
    ]  # fmt: skip
    assert readers == ["tools/settings.py", "tools/source.py"]
