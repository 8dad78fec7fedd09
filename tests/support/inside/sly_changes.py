"""Changes that a capture of only what changed may overlook, made inside a desktop.

    python sly_changes.py ROOT ROUND [NAME LEFT OUT]

Each function has a folder of its own and changes it in every round, from round 0 on. Round 0 also
leaves a process behind that keeps files open and mapped, and changes them in each later round. At
the end the description of ROOT is printed as JSON.
"""

import hashlib
import json
import mmap
import os
import signal
import stat
import subprocess
import sys
import time

PAST = 1_000_000_000 * 10**9


def spill(path, text, mtime=None):
    with open(path, "w") as file:
        file.write(text)
    if mtime is not None:
        os.utime(path, ns=(mtime, mtime))


def move(path, target):
    """Rename; folders of a layer below are copied and deleted, as mv does."""
    subprocess.run(["mv", "-T", path, target], check=True)


def in_place_time_set_back(round):
    if round == 0:
        spill("f", "0" * 10_000, PAST)
    fd = os.open("f", os.O_WRONLY)
    os.pwrite(fd, str(round).encode(), 5000)
    os.close(fd)
    os.utime("f", ns=(PAST, PAST))


def made_anew_with_same_size_and_time(round):
    if round:
        os.unlink("f")
    spill("f", str(round), PAST)


def replaced_by_rename_with_same_size_and_time(round):
    spill("new", str(round), PAST)
    os.rename("new", "f")


def two_files_swapped(round):
    if round == 0:
        spill("a", "1", PAST)
        spill("b", "2", PAST)
    os.rename("a", "t")
    os.rename("b", "a")
    os.rename("t", "b")


def two_folders_swapped(round):
    if round == 0:
        os.makedirs("a/in")
        os.makedirs("b/in")
        spill("a/in/f", "1", PAST)
        spill("b/in/f", "2", PAST)
    move("a", "t")
    move("b", "a")
    move("t", "b")


def folder_renamed(round):
    if round == 0:
        os.makedirs("n0/x/y")
        spill("n0/x/y/f", "kept", PAST)
        return
    move(f"n{round - 1}", f"n{round}")
    spill(f"n{round}/x/y/g", str(round))


def old_folder_moved_in(round):
    os.makedirs("../outside/in", exist_ok=True)
    spill("../outside/in/f", str(round), PAST)
    for path in ("../outside/in", "../outside"):
        os.utime(path, ns=(PAST, PAST))
    move("../outside", f"moved{round}")


def deleted_and_made_again_with_less(round):
    if round:
        for name in os.listdir("d"):
            os.unlink(f"d/{name}")
        os.rmdir("d")
    os.mkdir("d")
    for number in range(4 - round):
        spill(f"d/{number}", "x", PAST)


def file_deleted_then_back(round):
    if round % 2:
        os.unlink("f")
    else:
        spill("f", "x", PAST)


def other_kind(round):
    if os.path.lexists("f"):
        (os.rmdir if os.path.isdir("f") and not os.path.islink("f") else os.unlink)("f")
    kinds = (
        lambda: spill("f", "x"),
        lambda: os.mkdir("f"),
        lambda: os.symlink("t", "f"),
        lambda: os.mkfifo("f"),
    )
    kinds[round % 4]()


def mode_alone(round):
    if round == 0:
        spill("f", "x", PAST)
        os.mkdir("d")
    os.chmod("f", 0o600 + round)
    os.chmod("d", 0o700 + round)


def attribute_alone(round):
    if round == 0:
        spill("f", "x", PAST)
        os.mkdir("d")
    for path in ("f", "d"):
        if round == 2:
            os.removexattr(path, "user.a")
        else:
            os.setxattr(path, "user.a", str(round).encode())


def time_alone(round):
    if round == 0:
        spill("f", "x")
        os.mkdir("d")
    for path in ("f", "d"):
        os.utime(path, ns=(PAST - round, PAST - round))


def link_aimed_elsewhere(round):
    if round:
        os.unlink("l")
    os.symlink(f"to{round}", "l")
    os.utime("l", ns=(PAST, PAST), follow_symlinks=False)


def name_added_and_used(round):
    if round == 0:
        os.makedirs("a")
        os.makedirs("b")
        spill("a/f", "start", PAST)
    os.link("a/f", f"b/n{round}")
    fd = os.open(f"b/n{round}", os.O_WRONLY)
    os.pwrite(fd, str(round).encode(), 0)
    os.close(fd)
    os.utime("a/f", ns=(PAST, PAST))


def name_dropped(round):
    if round == 0:
        spill("f0", "x", PAST)
        for number in (1, 2, 3):
            os.link("f0", f"f{number}")
        return
    os.unlink(f"f{round - 1}")


def deep_below(round):
    path = "/".join(["deep"] * 60)
    os.makedirs(path, exist_ok=True)
    spill(f"{path}/f", str(round), PAST)


def empty_folders(round):
    os.makedirs(f"e{round}/in")
    if round:
        os.removedirs(f"e{round - 1}/in")


def emptied_and_full_of_holes(round):
    if round == 0:
        spill("f", "y" * 100_000, PAST)
    fd = os.open("f", os.O_WRONLY)
    os.ftruncate(fd, round * 10)
    os.ftruncate(fd, 100_000)
    os.close(fd)
    os.utime("f", ns=(PAST, PAST))


def many_in_one_tick(round):
    for number in range(200):
        spill(f"f{number}", str((round, number)))
    for number in range(round, 200, 3):
        os.unlink(f"f{number}")


def keep_open(root):
    """Change two files in place, one through a map, whenever told to; they are never closed."""
    os.chdir(f"{root}/kept_open")
    for name in ("written", "mapped"):
        spill(name, "." * 8192, PAST)
    written, mapped = (os.open(name, os.O_RDWR) for name in ("written", "mapped"))
    view = mmap.mmap(mapped, 8192)
    with open("../../keeper", "w") as file:
        file.write(str(os.getpid()))
    for round in range(1, 1000):
        signal.sigwait([signal.SIGUSR1])
        os.pwrite(written, b"w%d" % round, 4096)
        view[4100:4102] = b"m%d" % (round % 10)
        spill(f"../../done{round}", "")


def kept_open(round):
    root = os.path.dirname(os.getcwd())
    if round == 0:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        if os.fork() == 0:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            keep_open(root)
            os._exit(0)
        wait_for("../../keeper")
        return
    with open("../../keeper") as file:
        os.kill(int(file.read()), signal.SIGUSR1)
    wait_for(f"../../done{round}")


def wait_for(path):
    while not os.path.exists(path) or (path.endswith("keeper") and not os.path.getsize(path)):
        time.sleep(0.001)


CHANGES = (
    in_place_time_set_back, made_anew_with_same_size_and_time,
    replaced_by_rename_with_same_size_and_time, two_files_swapped, two_folders_swapped,
    folder_renamed, old_folder_moved_in, deleted_and_made_again_with_less, file_deleted_then_back,
    other_kind, mode_alone, attribute_alone, time_alone, link_aimed_elsewhere, name_added_and_used,
    name_dropped, deep_below, empty_folders, emptied_and_full_of_holes, many_in_one_tick, kept_open,
)  # fmt: skip


def describe(root):
    """Return {path: facts}; the time of a file that is mapped is up to the kernel's writeback."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()[:12]
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            names = [] if stat.S_ISLNK(status.st_mode) else sorted(os.listxattr(path))
            attributes = {name: os.getxattr(path, name).decode() for name in names}
            mtime = 0 if name == "mapped" else status.st_mtime_ns
            found[os.path.relpath(path, root)] = [status.st_mode, mtime, attributes, content]
    return found


def main():
    root, round = sys.argv[1], int(sys.argv[2])
    for change in CHANGES if round >= 0 else ():
        if change.__name__ in sys.argv[3:]:
            continue
        folder = os.path.join(root, change.__name__)
        os.makedirs(folder, exist_ok=True)
        os.chdir(folder)
        change(round)
    print(json.dumps(describe(root), sort_keys=True))


main()
