"""The home folder's own name, by which its desktops on a shared server are told from others'."""

import os
import secrets
from pathlib import Path

from tools.errors import EnvironmentFaultError

HOME = "sentient-home"
"""The key of a desktop's metadata under which its home folder's id is."""


def home_id(home: Path) -> str:
    """The random id of a home folder, made at the first call and never changed. Blocking.

    Raises:
        EnvironmentFaultError: the file that holds it is empty.
    """
    path = home / "home-id"
    try:
        known = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        _make(path)
        known = path.read_text(encoding="ascii").strip()
    if not known:
        hint = "if it never held an id, remove it; else write the old id back"
        raise EnvironmentFaultError(f"{path} is empty", hint=hint)
    return known


def _make(path: Path) -> None:
    """Write a fresh id, whole or not at all; who comes second keeps the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(16) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return
    finally:
        draft.unlink()
