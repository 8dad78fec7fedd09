"""Brings the parser and the grammars that are needed into a desktop.

A desktop with this machine's Python, as all of the embedded server are, gets the files installed
here: no network is needed. For any other Python, on E2B cloud, uv fetches the same versions from
the package index its user configured, once.
"""

import asyncio
import platform
import re
import secrets
import shutil
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from uv import find_uv_bin

from tools.errors import EnvironmentFaultError
from tools.inside.languages import GRAMMARS

CORE = "tree-sitter"
PYTHON = re.compile(r"^3\.\d{1,2}$")
MACHINE = re.compile(r"^[a-z0-9_]{1,20}$")


def distributions(languages: Iterable[str]) -> list[str]:
    """The distributions that parsing these languages needs."""
    packages = {GRAMMARS[language][0].replace("_", "-") for language in languages}
    return [CORE, *sorted(packages)]


async def parser_files(
    languages: Iterable[str], python: str, machine: str, cache: Path
) -> dict[str, bytes]:
    """The files a Python of this version (`3.12`) on this machine (`x86_64`) parses them with.

    Raises:
        EnvironmentFaultError: they are not installed here, and the package index did not help.
    """
    names = distributions(languages)
    if (python, machine) == (f"3.{sys.version_info.minor}", platform.machine()):
        return await asyncio.to_thread(_installed, names)
    if not (PYTHON.match(python) and MACHINE.match(machine)):
        raise EnvironmentFaultError(f"the desktop's Python is {python!r} on {machine!r}: unknown")
    wanted = await asyncio.to_thread(_targets, names, cache / f"{python}-{machine}")
    for requirement, target in wanted.items():
        if not await asyncio.to_thread(target.is_dir):
            await _fetch(requirement, python, machine, target)
    return await asyncio.to_thread(_below, wanted.values())


def _targets(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Where each distribution is kept, in the version that is installed here."""
    versions = {name: metadata.version(name) for name in names}
    return {
        f"{name}=={version}": folder / f"{name}-{version}" for name, version in versions.items()
    }


def _installed(names: Iterable[str]) -> dict[str, bytes]:
    return {
        str(file): Path(str(file.locate())).read_bytes()
        for name in names
        for file in metadata.files(name) or ()
        if _is_needed(str(file))
    }


def _below(folders: Iterable[Path]) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and _is_needed(str(path.relative_to(folder)))
    }


def _is_needed(path: str) -> bool:
    return path.endswith((".py", ".so")) and ".." not in path


async def _fetch(requirement: str, python: str, machine: str, target: Path) -> None:
    draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}.unfinished")
    process = await asyncio.create_subprocess_exec(
        find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--python-version", python, "--python-platform", f"{machine}-unknown-linux-gnu",
        "--target", str(draft), requirement,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    if process.returncode:
        reason = " ".join(said.decode(errors="replace").split())[-300:]
        raise EnvironmentFaultError(f"no {requirement} for Python {python}, {machine}: {reason}")
    await asyncio.to_thread(_place, draft, target)


def _place(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft)
        if not target.is_dir():  # else another process was quicker
            raise
