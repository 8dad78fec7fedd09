"""Names of changed files, asked of git in a real desktop."""

from collections.abc import AsyncIterator

import pytest

from tools.changes import LISTED, UNKNOWN, changed_files
from tools.connection import Connection
from tools.desktop import Desktop
from tools.layout import REPO
from tools.settings import Settings

COMMIT = "git add -A && git -c user.name=t -c user.email=t@t commit -qm x"


@pytest.fixture
async def desktop(settings: Settings) -> AsyncIterator[Desktop]:
    connection = Connection(settings)
    async with await Desktop.create(lifecycle="ephemeral", connection=connection) as made:
        await made.exec(f"mkdir {REPO} && cd {REPO} && echo 1 > a.py && echo 2 > b.py")
        await sh(made, f"git init -q && echo ignored.txt > .gitignore && {COMMIT}")
        yield made


async def sh(desktop: Desktop, command: str) -> str:
    done = await desktop.exec(command, cwd=REPO)
    assert done.ok, done.stderr
    return done.stdout.strip()


async def test_changed_files_edited_new_and_deleted_are_named(desktop: Desktop) -> None:
    base = await sh(desktop, "git rev-parse HEAD")
    assert await changed_files(desktop, base) == {"changed": [], "changed_count": 0}
    await sh(desktop, "echo 3 >> a.py; rm b.py; touch ignored.txt; echo 4 > 'new\n ü.py'")
    expected = ["a.py", "b.py", "new\n ü.py"]
    assert await changed_files(desktop, base) == {"changed": expected, "changed_count": 3}
    await sh(desktop, COMMIT)
    assert sorted((await changed_files(desktop, base))["changed"]) == expected


async def test_changed_files_many_are_counted_beyond_the_listed(desktop: Desktop) -> None:
    base = await sh(desktop, "git rev-parse HEAD")
    await sh(desktop, f"touch $(seq -f 'file-%g' {LISTED + 50})")
    changes = await changed_files(desktop, base)
    assert (len(changes["changed"]), changes["changed_count"]) == (LISTED, LISTED + 50)


async def test_changed_files_without_git_are_unknown_not_none(desktop: Desktop) -> None:
    assert await changed_files(desktop, "0" * 40) == UNKNOWN
    await sh(desktop, "rm -rf .git")
    assert await changed_files(desktop, "0" * 40) == UNKNOWN
