"""`sentient doctor`: can this machine do the work, and if not, what has to be done."""

import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sentient.text import print_json, printable
from sentient_desktop.sandbox.diagnosis import diagnose
from tools.connection import Connection
from tools.desktop import Desktop
from tools.errors import SentientError
from tools.settings import NO_MODEL, Settings

FREE_FLOOR_GB = 1.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


async def examine(settings: Settings) -> list[Check]:
    """Look at everything a run needs; desktops are tried for real."""
    desktop = await _desktop(settings)
    embedded = Connection(settings).is_embedded
    why = [] if desktop.ok or not embedded else await asyncio.to_thread(explain_isolation)
    return [_python(), _git(), _disk(settings), desktop, *why, _model(settings)]


def explain_isolation() -> list[Check]:
    """Look at everything that decides whether desktops can be isolated here. Boots one."""
    return [
        Check(
            finding.name,
            finding.ok,
            finding.detail if finding.ok or not finding.remedy
            else f"{finding.detail} - {finding.remedy}",
        )
        for finding in diagnose()
    ]  # fmt: skip


def print_checks(checks: Sequence[Check], *, json: bool) -> None:
    """Write what the doctor found: a line each, or one JSON value."""
    if json:
        print_json([vars(check) for check in checks])
        return
    for check in checks:
        mark = "ok  " if check.ok else "FAIL"
        sys.stdout.write(f"{mark}  {check.name:<16} {printable(check.detail)}\n")


def _python() -> Check:
    version = sys.version.split()[0]
    return Check("python", sys.version_info >= (3, 11), f"{version} (3.11 or later is needed)")


def _git() -> Check:
    path = shutil.which("git")
    return Check("git", path is not None, path or "not found: install git")


def _disk(settings: Settings) -> Check:
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    free = shutil.disk_usage(settings.home).free / 1e9
    return Check("disk", free > FREE_FLOOR_GB, f"{free:.1f} GB free at {settings.home}")


async def _desktop(settings: Settings) -> Check:
    connection = Connection(settings)
    where = "embedded server" if connection.is_embedded else "E2B server of E2B_API_KEY"
    try:
        started = time.monotonic()
        async with await Desktop.create(lifecycle="ephemeral", connection=connection) as desktop:
            done = await desktop.exec("python", ["-m", "pytest", "--version"])
        seconds = time.monotonic() - started
    except SentientError as error:
        return Check("desktop", ok=False, detail=f"{where}: {error}")
    if not done.ok:
        return Check(
            "desktop", ok=False, detail=f"{where}: pytest does not run: {done.stderr[-200:]}"
        )
    version = (done.stdout or done.stderr).strip()
    return Check(
        "desktop", ok=True, detail=f"{where}: made, used and killed in {seconds:.2f} s, {version}"
    )


def _model(settings: Settings) -> Check:
    name = settings.model_name
    if name == NO_MODEL:
        return Check(
            "model", ok=True, detail="none: the offline engine (set OPENAI_API_KEY for a model)"
        )
    configured = bool(settings.openai_api_key or settings.openai_base_url)
    where = settings.openai_base_url or "OpenAI"
    detail = (
        f"{name} at {where}" if configured else f"{name}: set OPENAI_API_KEY or OPENAI_BASE_URL"
    )
    return Check("model", configured, detail)
