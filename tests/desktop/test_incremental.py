"""Later snapshots of a desktop hold only what changed, and show everything."""

import asyncio
from pathlib import Path
from typing import Any

import e2b
import pytest
from e2b import AsyncSandbox
from manifest import manifest

from sentient_desktop import ensure_server, stop_server

PREPARE = """
import os, socket
def put(path, text="old"):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file: file.write(text)
for name in ("inplace", "same_size", "mode", "attribute", "gone", "renamed", "to_folder", "to_link",
             "linked", "unlinked", "untouched", "appended", "replaced", "times"):
    put(f"f/{name}")
os.link("f/linked", "f/linked_too"); os.link("f/unlinked", "f/unlinked_too")
os.symlink("f/gone", "link_to_file"); os.symlink("f", "changed_link")
for folder in ("moved", "emptied", "remade", "gone", "to_file", "mode", "deep/a/b", "whole"):
    put(f"d/{folder}/one"); put(f"d/{folder}/two")
put("d/whole/sub/three"); os.mkfifo("fifo"); os.setxattr("f/untouched", "user.kept", b"1")
os.setxattr("d/mode", "user.kept", b"1")
"""

CHANGE = """
import os, shutil, socket
def rewrite(path, text):
    before = os.stat(path)
    with open(path, "r+") as file: file.write(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
rewrite("f/inplace", "newer"); rewrite("f/same_size", "new"); os.chmod("f/mode", 0o600)
os.setxattr("f/attribute", "user.added", b"2"); os.unlink("f/gone"); os.rename("f/renamed", "f/to")
os.utime("f/times", (1, 1))
os.unlink("f/to_folder"); os.mkdir("f/to_folder"); open("f/to_folder/x", "w").write("x")
os.unlink("f/to_link"); os.symlink("untouched", "f/to_link")
rewrite("f/linked", "both"); os.unlink("f/unlinked_too"); os.link("f/untouched", "f/linked_now")
open("f/appended", "a").write("more"); open("f/temporary", "w").write("new")
os.rename("f/temporary", "f/replaced")
os.unlink("changed_link"); os.symlink("d", "changed_link"); os.unlink("link_to_file")
shutil.move("d/moved", "d/moved_to"); os.unlink("d/emptied/one"); os.unlink("d/emptied/two")
shutil.rmtree("d/remade"); os.mkdir("d/remade"); open("d/remade/two", "w").write("new")
shutil.rmtree("d/gone"); shutil.rmtree("d/to_file"); open("d/to_file", "w").write("a file")
os.chmod("d/mode", 0o700); shutil.rmtree("d/deep/a"); os.makedirs("d/deep/a/c")
shutil.rmtree("d/whole"); os.makedirs("d/whole/sub"); open("d/whole/sub/four", "w").write("4")
os.rename("fifo", "pipe"); socket.socket(socket.AF_UNIX).bind("socket"); os.mkfifo("fifo")
with open("sparse", "wb") as file: file.truncate(1 << 30); file.seek(1 << 20); file.write(b"x")
os.truncate("sparse", 1 << 21)
"""

CHANGE_BACK = """
import os, shutil
shutil.rmtree("f/to_folder"); open("f/to_folder", "w").write("a file again"); os.unlink("f/to_link")
os.rename("f/to", "f/renamed"); open("f/gone", "w").write("back")
os.unlink("d/to_file"); os.makedirs("d/to_file/inner"); shutil.move("d/moved_to", "d/moved")
os.makedirs("d/gone"); open("d/gone/three", "w").write("3"); shutil.rmtree("d/whole")
shutil.rmtree("d/remade"); os.makedirs("d/whole"); os.unlink("f/linked_too"); os.unlink("fifo")
"""


async def run(desktop: AsyncSandbox, program: str) -> None:
    await desktop.files.write("/tmp/program.py", program)
    await desktop.commands.run("python3 /tmp/program.py")


def layer_sizes(data_dir: Path) -> list[int]:
    """How many entries each layer has, newest last."""
    layers = sorted((data_dir / "layers").iterdir(), key=lambda path: path.stat().st_ctime_ns)
    return [sum(1 for _ in layer.rglob("*")) for layer in layers]


async def snap(desktop: AsyncSandbox) -> str:
    return (await desktop.create_snapshot(mode="filesystem")).snapshot_id


@pytest.fixture(params=["own", "below"])
async def prepared(request: Any, create: Any, desktop: AsyncSandbox) -> AsyncSandbox:
    """A desktop with files of every kind, its own or in layers below it."""
    await run(desktop, PREPARE)
    if request.param == "own":
        return desktop
    copy: AsyncSandbox = await create(await snap(desktop))
    return copy


async def test_later_snapshots_show_every_kind_of_change(
    create: Any, prepared: AsyncSandbox
) -> None:
    snapshots = []
    for program in ("pass", CHANGE, "pass", CHANGE_BACK, "pass"):
        await run(prepared, program)
        seen = await manifest(prepared)
        snapshots.append((await snap(prepared), seen))
        await asyncio.sleep(0.05)  # so that nothing counts as changed that did not
    assert len(snapshots[0][1]) > 40
    for number, (snapshot, seen) in enumerate(snapshots):
        assert await manifest(await create(snapshot)) == seen, f"snapshot {number}"
    changed = await create(snapshots[1][0])
    await changed.commands.run("test f/untouched -ef f/linked_now && test ! f/to -ef f/linked")


async def test_later_snapshot_holds_only_what_changed(folder: Path, options_for: Any) -> None:
    options = options_for(ensure_server(folder))
    desktop = await AsyncSandbox.create("base", **options)
    await desktop.commands.run("mkdir -p many; cd many; seq 300 | split -l 1 -a 3 -")
    await asyncio.sleep(0.05)
    await snap(desktop)
    await desktop.commands.run("echo x > many/xaab; rm many/xaac")
    await asyncio.sleep(0.05)
    await snap(desktop)
    await snap(desktop)
    whole, changed, unchanged = layer_sizes(folder)
    assert whole > 300
    assert changed == 5  # home, user, many, and two in it
    assert unchanged == 0


async def test_snapshots_of_a_desktop_are_each_as_it_was(
    create: Any, desktop: AsyncSandbox, options: dict[str, Any]
) -> None:
    taken = []
    for number in range(6):
        await desktop.commands.run(f"echo {number} > n; touch f{number}; rm -f f{number - 2}")
        taken.append((await snap(desktop), await manifest(desktop)))
    for middle in (0, 2, 3):
        assert await AsyncSandbox.delete_snapshot(taken[middle][0], **options)
    await desktop.kill()
    for snapshot, seen in (taken[1], taken[4], taken[5]):
        assert await manifest(await create(snapshot)) == seen


async def test_layers_of_deleted_snapshots_are_not_kept_for_the_next_which_is_whole(
    folder: Path, options_for: Any
) -> None:
    options = options_for(ensure_server(folder))
    desktop = await AsyncSandbox.create("base", **options)
    await desktop.commands.run("mkdir a; touch a/1 gone")
    first, second = await snap(desktop), await snap(desktop)
    assert await AsyncSandbox.delete_snapshot(first, **options)
    assert len(layer_sizes(folder)) == 2
    assert await AsyncSandbox.delete_snapshot(second, **options)
    assert layer_sizes(folder) == []
    await desktop.commands.run("touch a/2; rm gone")
    seen = await manifest(desktop)
    copy = await AsyncSandbox.create(await snap(desktop), **options)
    assert await manifest(copy) == seen


async def test_fork_and_snapshots_of_what_stands_on_a_later_snapshot(
    create: Any, desktop: AsyncSandbox
) -> None:
    await desktop.commands.run("mkdir a; touch a/1 a/2 gone")
    await snap(desktop)
    await desktop.commands.run("rm gone a/1; mkdir b")
    child = await create(await snap(desktop))
    await child.commands.run("touch gone; rm -r a; mkdir a; touch a/3")
    await snap(child)
    await child.commands.run("rm gone; touch a/4")
    (fork,) = await child.fork(count=1)
    assert isinstance(fork, AsyncSandbox)
    assert (await fork.commands.run("ls . a b")).stdout == ".:\na\nb\n\na:\n3\n4\n\nb:\n"
    await fork.kill()


MAPPER = """
import mmap, os, time
file = open("mapped", "w+b"); file.truncate(8192)
memory = mmap.mmap(file.fileno(), 0)
memory[0] = 65
while not os.path.exists("go"): time.sleep(0.01)
memory[1] = 66
open("done", "w")
time.sleep(1000)
"""


async def test_writes_through_mapped_memory_are_in_the_next_snapshot(
    create: Any, desktop: AsyncSandbox
) -> None:
    await desktop.files.write("/tmp/writer.py", MAPPER)
    process = await desktop.commands.run("python3 -u /tmp/writer.py", background=True)
    while not await desktop.files.exists("mapped"):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    await snap(desktop)
    await desktop.files.write("go", "")
    while not await desktop.files.exists("done"):
        await asyncio.sleep(0.01)
    copy = await create(await snap(desktop))
    assert (await copy.files.read("mapped"))[:2] == "AB"
    await process.kill()


async def test_file_held_open_and_written_is_in_the_next_snapshot(
    create: Any, desktop: AsyncSandbox
) -> None:
    body = "i=$((i+1)); echo $i >&3; echo $i > n.new; mv n.new n; sleep 0.005"
    loop = f"exec 3>log; i=0; while :; do {body}; done"
    process = await desktop.commands.run(loop, background=True)
    for _ in range(5):
        await asyncio.sleep(0.05)
        copy = await create(await snap(desktop))
        result = await copy.commands.run("tail -n 1 log; cat n")
        last, number = (int(line) for line in result.stdout.split())
        assert number in (last, last - 1)
        await copy.kill()
    await process.kill()


@pytest.mark.long
async def test_snapshot_after_a_restart_of_the_server_is_whole(
    folder: Path, options_for: Any
) -> None:
    options = options_for(ensure_server(folder))
    desktop = await AsyncSandbox.create("base", **options)
    await desktop.commands.run("mkdir a; touch a/1 gone")
    await snap(desktop)
    stop_server(folder)
    ensure_server(folder)
    await desktop.connect()
    await desktop.commands.run("rm gone; touch a/2")
    copy = await AsyncSandbox.create(await snap(desktop), **options)
    assert (await copy.commands.run("ls . a")).stdout == ".:\na\n\na:\n1\n2\n"


async def test_unreadable_folder_is_in_later_snapshots(create: Any, desktop: AsyncSandbox) -> None:
    await desktop.commands.run("mkdir locked; touch locked/f; chmod 000 locked")
    await snap(desktop)
    await desktop.commands.run("touch later")
    copy = await create(await snap(desktop))
    assert (await copy.commands.run("chmod 700 locked; ls . locked")).stdout.split() == [
        ".:", "later", "locked", "locked:", "f",
    ]  # fmt: skip
    with pytest.raises(e2b.SandboxException):
        await create("snapshot-that-is-none")


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.long)])
async def test_many_snapshots_in_a_row_are_each_as_the_desktop_was(
    create: Any, desktop: AsyncSandbox, options: dict[str, Any], count: int
) -> None:
    taken = []
    await desktop.commands.run("mkdir d; seq 300 | split -l 1 -a 3 - d/")
    change = "echo {n} > n; touch f{n}; rm -f f{old}; rm -r s; mkdir s; touch s/{n}; rm -f d/*{l}"
    await desktop.commands.run("mkdir s")
    for n in range(count):
        await desktop.commands.run(change.format(n=n, old=n - 3, l=chr(ord("a") + n % 26)))
        keep = n % (count // 8) == 0 or n == count - 1
        seen = await manifest(desktop) if keep else []
        snapshot = await snap(desktop)
        if keep:
            taken.append((snapshot, seen))
        elif n % 3 == 0:
            await AsyncSandbox.delete_snapshot(snapshot, **options)
    for snapshot, seen in taken:
        copy = await create(snapshot)
        assert await manifest(copy) == seen
        await copy.kill()
