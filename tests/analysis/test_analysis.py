"""The analysis of a repository in a real desktop: what is new is parsed, nothing trusted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checkpoints.ledger import Ledger
from tools.analysis import Evidence, analyze_repository, known_analysis
from tools.analysis.collecting import HISTORY, past_commits
from tools.analysis.facts import PARSER
from tools.analysis.grammars import parser_files
from tools.connection import Connection
from tools.desktop import Desktop
from tools.errors import EnvironmentFaultError
from tools.layout import PROGRAMS, REPO, install_programs
from tools.settings import Settings

COMMIT = "git add -A && git -c user.name=t -c user.email=t@t commit -qm x"


@pytest.fixture
async def desktop(settings: Settings) -> AsyncIterator[Desktop]:
    connection = Connection(settings)
    async with await Desktop.create(lifecycle="ephemeral", connection=connection) as made:
        await made.exec("mkdir", [REPO])
        await sh(made, "git init -q && echo 'def a(): b()' > a.py && echo 'def b(): pass' > b.py")
        await sh(made, f"echo 'function c() {{}}' > c.js; ln -s /etc/passwd d.py; {COMMIT}")
        yield made


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.db")


async def sh(desktop: Desktop, command: str) -> str:
    done = await desktop.exec(command, cwd=REPO)
    assert done.ok, done.stderr
    return done.stdout.strip()


async def tree(desktop: Desktop) -> str:
    return await sh(desktop, "git rev-parse 'HEAD^{tree}'")


async def test_analysis_of_a_changed_tree_parses_what_is_new_alone(
    desktop: Desktop, ledger: Ledger, tmp_path: Path
) -> None:
    store, first = ledger.analyses, await tree(desktop)
    assert known_analysis(store, first) is None
    made = await analyze_repository(desktop, store, first, tmp_path)
    assert (made.new, made.known) == (3, False)
    assert made.corpus.paths == ["a.py", "b.py", "c.js"]
    assert made.profile.lines == {"Python": 2, "JavaScript": 1}
    assert await sh(desktop, "ls -a ~/.sentient") == ".\n..\nbin"

    again = known_analysis(store, first)
    assert again is not None
    assert (again.new, again.known) == (0, True)
    assert again.profile == made.profile
    evidence = Evidence("why does b fail")
    assert again.map(again.rank(evidence), tokens=500) == made.map(made.rank(evidence), tokens=500)

    await sh(desktop, f"cp a.py copy.py && echo 'def e(): pass' > e.py && {COMMIT}")
    changed = await analyze_repository(desktop, store, await tree(desktop), tmp_path)
    assert changed.new == 1
    assert changed.corpus.paths == ["a.py", "b.py", "c.js", "copy.py", "e.py"]


async def test_analysis_of_an_empty_repository_has_nothing_and_a_map(
    desktop: Desktop, ledger: Ledger, tmp_path: Path
) -> None:
    await sh(desktop, f"git rm -rq . && {COMMIT}")
    made = await analyze_repository(desktop, ledger.analyses, await tree(desktop), tmp_path)
    assert made.profile.files == 0
    assert made.map(made.rank(Evidence("x")), tokens=100) == ""


async def test_analysis_that_cannot_be_read_is_put_together_anew(
    desktop: Desktop, ledger: Ledger, tmp_path: Path
) -> None:
    store, first = ledger.analyses, await tree(desktop)
    await analyze_repository(desktop, store, first, tmp_path)
    with ledger._file.writing() as database:
        database.execute("update analyses set corpus = x'00'")
    assert known_analysis(store, first) is None
    made = await analyze_repository(desktop, store, first, tmp_path)
    assert (made.new, made.profile.parsed) == (0, 3)


START = '{"blob":"BLOB","language":"Python","lines":1'
LIES = {
    "not JSON": "not json",
    "another blob": START.replace("BLOB", "0" * 40) + "}",
    "a line too long": START + ',"imports":["' + "x" * 2_000_000 + '"]}',
    "a name of two lines": START + ',"definitions":[["a\\nb","class",1,2]]}',
    "a negative count": START + ',"words":{"ab":-1}}',
}
LIAR = """
import os, sys
if sys.argv[1] == "parse":
    os.rename("/home/user/lies", sys.argv[2] + "/facts.0.jsonl")
    sys.exit()
"""


@pytest.mark.parametrize("lie", LIES)
async def test_analysis_lies_of_the_desktop_are_left_out(
    desktop: Desktop, ledger: Ledger, tmp_path: Path, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = [await sh(desktop, f"git rev-parse HEAD:{name}.py") for name in "ab"]
    lines = [LIES[lie].replace("BLOB", blobs[0]), START.replace("BLOB", blobs[1]) + "}"]
    await desktop.fs.write_file("lies", "\n".join(lines) + "\n")
    honest = await desktop_program(desktop)

    async def install(_: Desktop) -> None:
        await desktop.fs.write_file(f"{PROGRAMS}/parse_sources.py", LIAR + honest)

    monkeypatch.setattr("tools.analysis.collecting.install_programs", install)
    made = await analyze_repository(desktop, ledger.analyses, await tree(desktop), tmp_path)
    assert made.corpus.paths == ["b.py"]
    assert set(ledger.analyses.facts(["0" * 40, *blobs], PARSER)) == {blobs[1]}


async def desktop_program(desktop: Desktop) -> str:
    await install_programs(desktop)
    return await desktop.fs.read_file(f"{PROGRAMS}/parse_sources.py")


async def test_past_commits_that_are_nonsense_are_none(desktop: Desktop) -> None:
    assert await past_commits(desktop) == []
    for history in ("", "{}", "[1]", '[["x"]]', "[[1, 2]]", "[" * 100_000):
        await desktop.fs.write_file(HISTORY, history)
        assert await past_commits(desktop) == []


@pytest.mark.parametrize(("python", "machine"), [("3.x; rm", "x86_64"), ("3.12", "../x")])
async def test_parser_for_a_python_of_no_sense_is_refused(
    tmp_path: Path, python: str, machine: str
) -> None:
    with pytest.raises(EnvironmentFaultError, match="unknown"):
        await parser_files(["Python"], python, machine, tmp_path)
