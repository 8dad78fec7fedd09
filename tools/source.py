"""Brings a SOURCE (folder, git URL or archive) to one packed file that a desktop can unpack.

Nothing of the source is executed here, and git is never run on a folder of the user's: a
repository's own configuration can make git execute programs. Cloning a URL is git's safe case.
"""

import asyncio
import hashlib
import os
import re
import signal
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tools.errors import UsageError

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")

SKIPPED = frozenset(
    {"node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
)
"""Folders that are made anew by tools; never copied, at any depth."""

GIT_LIMIT = 256 << 20
"""Bytes of a `.git` folder up to which it is copied, to tell uncommitted changes."""

CLONE_TIMEOUT_S = 300

URL = re.compile(r"^(https?|ssh|git|file)://|^[\w.-]+@[\w.-]+:")


@dataclass(frozen=True)
class Packed:
    """A source on its way: the archive, what to call it, and whether we packed it ourselves."""

    archive: Path
    name: str
    digest: str
    """Names the content: the same files, wherever they come from, have the same one."""
    made_by_us: bool = True
    names: frozenset[str] | None = None
    """Paths of files at the top and one folder below; None for an archive, which is not opened."""


def is_url(source: str) -> bool:
    """Whether SOURCE names a git repository to clone rather than a path."""
    return bool(URL.match(source))


def refuse_credentials(source: str) -> None:
    """Raise for a URL with a user and password in it: sources are stored, passwords must not be.

    Raises:
        UsageError: the URL carries credentials.
    """
    found = re.match(r"^[a-z+]+://([^/@]+)@", source)
    if found and (":" in found[1] or source.startswith("http")):
        raise UsageError(
            f"the URL {without_credentials(source)} carries credentials, which would be stored",
            hint="use an ssh URL or git's credential helper",
        )


def without_credentials(source: str) -> str:
    """SOURCE as it may be shown and stored: the user and password of a URL are left out."""
    return re.sub(r"(?<=://)[^/@]+@", "", source)


async def pack(source: str, scratch: Path, *, limit_mb: int) -> Packed:
    """Pack SOURCE into one file, in `scratch` unless it is an archive already.

    Raises:
        UsageError: nothing is there, it cannot be cloned or read, or it is larger than the limit.
    """
    if is_url(source):
        checkout = scratch / "clone"
        await _clone(source, checkout)
        name = without_credentials(source).rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")
        return await asyncio.to_thread(_pack_folder, checkout, name, scratch, limit_mb)
    return await asyncio.to_thread(_pack_path, source, scratch, limit_mb)


def resolved(source: str) -> Path:
    """The absolute path of a SOURCE that is no URL.

    Raises:
        UsageError: nothing is there, or it cannot be looked up.
    """
    try:
        path = Path(source).expanduser().resolve(strict=True)
    except FileNotFoundError as error:
        raise UsageError(f"no such folder or archive: {source[:300]}") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"cannot look up {source[:300]}: {error}"[:500]) from error
    return path


def _pack_path(source: str, scratch: Path, limit_mb: int) -> Packed:
    path = resolved(source)
    if path.is_file():
        if not path.name.endswith(ARCHIVES):
            raise UsageError(f"{source} is neither a folder nor one of {', '.join(ARCHIVES)}")
        if path.stat().st_size > limit_mb << 20:
            raise UsageError(f"{source} is larger than {limit_mb} MiB", hint=_LIMIT_HINT)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Packed(path, path.name, digest, made_by_us=False)
    return _pack_folder(path, path.name, scratch, limit_mb)


_LIMIT_HINT = "raise SENTIENT_MAX_SOURCE_MB if that is what you want"


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO, digest: "hashlib._Hash") -> None:
        self._file, self._digest = file, digest

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        return data


def _pack_folder(folder: Path, name: str, scratch: Path, limit_mb: int) -> Packed:
    """Pack a folder; the digest is of names, modes and contents, those of `.git` aside."""
    archive = scratch / "source.tar.gz"
    total, whole, names = 0, hashlib.sha256(), set[str]()
    try:
        with tarfile.open(archive, "w:gz", compresslevel=1, dereference=False) as tar:
            for path, info in _entries(folder):
                total += info.st_size if stat.S_ISREG(info.st_mode) else 0
                if total > limit_mb << 20:
                    raise UsageError(f"{folder} is larger than {limit_mb} MiB", hint=_LIMIT_HINT)
                within = path.relative_to(folder)
                added = _add(tar, path, str(within))
                if within.parts[0] != ".git":  # another in each clone
                    whole.update(added.encode())
                if len(within.parts) <= 2:
                    names.add(within.as_posix())
    except PermissionError as error:
        raise UsageError(f"cannot read {error.filename}: permission denied") from error
    return Packed(archive, name, whole.hexdigest(), names=frozenset(names))


def _add(tar: tarfile.TarFile, path: Path, name: str) -> str:
    """Add one entry; returns what it is: name, kind, whether it can be executed, content."""
    entry, content = tar.gettarinfo(path, name), hashlib.sha256()
    if entry.isreg():
        with path.open("rb") as file:
            tar.addfile(entry, _Hashed(file, content))  # type: ignore[arg-type]  # it is but read
    else:
        tar.addfile(entry)
    return repr((name, entry.type, entry.mode & 0o100, entry.linkname, content.hexdigest()))


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield what belongs to a repository: files, folders and links, no sockets or devices."""
    for here, folders, files in os.walk(folder, onerror=_refuse):
        place = Path(here)
        keep_git = place == folder and _size_within(place / ".git", GIT_LIMIT)
        folders[:] = sorted(name for name in folders if _wanted(place / name, keep_git=keep_git))
        for name in [*folders, *sorted(files)]:
            info = (place / name).lstat()
            if (
                stat.S_ISREG(info.st_mode)
                or stat.S_ISDIR(info.st_mode)
                or stat.S_ISLNK(info.st_mode)
            ):
                yield place / name, info


def _refuse(error: OSError) -> None:
    raise error


def _wanted(folder: Path, *, keep_git: bool) -> bool:
    if folder.name == ".git":
        return keep_git
    return folder.name not in SKIPPED and not (folder / "pyvenv.cfg").exists()


def _size_within(folder: Path, limit: int) -> bool:
    total = 0
    for here, _, files in os.walk(folder):
        total += sum((Path(here) / name).lstat().st_size for name in files)
        if total > limit:
            return False
    return folder.is_dir()


async def _clone(url: str, target: Path) -> None:
    """Clone in a session of its own: Ctrl-C is the run's to act on, not git's."""
    command = ["git", "-c", "protocol.ext.allow=never", "clone", "--quiet", "--depth=1", "--"]
    shown = without_credentials(url)
    process = await asyncio.create_subprocess_exec(
        *command,
        url,
        str(target),
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(CLONE_TIMEOUT_S):
            _, said = await process.communicate()
    except TimeoutError as error:
        raise UsageError(f"cannot clone {shown}: no end after {CLONE_TIMEOUT_S} s") from error
    finally:
        if process.returncode is None:  # cut short; git has children
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else "git gave no reason"
        raise UsageError(f"cannot clone {shown}: {without_credentials(reason)}")
