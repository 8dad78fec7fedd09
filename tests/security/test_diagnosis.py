"""What the doctor says: the verdict is the probe's, every refusal comes with a remedy."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sentient.commands.desktop import app
from sentient_desktop.sandbox.bubblewrap import find_programs, read_version, wheel_program
from sentient_desktop.sandbox.diagnosis import masked_proc
from sentient_desktop.sandbox.remedies import apparmor_profile, explain


def test_doctor_explains_this_machine() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0
    found: dict[str, dict[str, Any]] = {check["name"]: check for check in json.loads(result.stdout)}
    assert found["isolation"]["ok"]
    assert "desktops run isolated" in found["isolation"]["detail"]
    assert {"kernel", "filter", "user namespaces", "bubblewrap", "disks", "limits", "network"} <= (
        found.keys()
    )
    assert all(check["ok"] or " - " in check["detail"] for check in found.values())
    assert not list(Path(tempfile.gettempdir()).glob("sentient-probe-*"))


def test_profile_names_the_program_and_one_right() -> None:
    text = CliRunner().invoke(app, ["doctor", "--apparmor"]).stdout
    assert text == apparmor_profile()
    assert f'"{wheel_program()}"' in text
    assert [line.strip() for line in text.splitlines() if line.endswith(",")][1:] == ["userns,"]


def test_covers_over_proc_are_recognised() -> None:
    lines = [
        "26 25 0:21 / /proc rw - proc proc rw",
        "40 26 0:5 / /proc/kcore rw - tmpfs tmpfs rw",
        "41 25 0:5 / /process rw - tmpfs tmpfs rw",
    ]
    assert masked_proc(lines) == ["/proc/kcore"]


@pytest.mark.parametrize(
    ("complaint", "command"),
    [
        ("bwrap: No permissions to creating new namespace", "--security-opt seccomp=unconfined"),
        ("bwrap: Can't mount proc on /newroot/proc", "systempaths=unconfined"),
        ("unshare: No space left on device", "sysctl -w user.max_user_namespaces"),
        ("spawner: unshare(CLONE_NEWNS): Operation not permitted", "setpriv"),
    ],
)
def test_remedy_is_an_exact_command(complaint: str, command: str) -> None:
    assert command in explain(complaint)


def test_program_of_the_wheel_comes_first_and_has_overlays() -> None:
    assert find_programs()[0] == wheel_program()
    assert read_version(wheel_program()) >= (0, 11)
    assert read_version("/nowhere/bwrap") == ()
