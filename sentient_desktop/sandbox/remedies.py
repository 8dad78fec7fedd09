"""What to do when a machine refuses desktops: bubblewrap's complaint, explained, with commands."""

import os

from sentient_desktop.sandbox.bubblewrap import chosen_program

PROFILE = "/etc/apparmor.d/sentient-bwrap"

_APPARMOR = (
    "AppArmor restricts user namespaces: allow them for this one program with "
    f"`sentient desktop doctor --apparmor | sudo tee {PROFILE} && "
    f"sudo apparmor_parser -r {PROFILE}`"
)
_APPARMOR_ROOT = (
    "AppArmor restricts user namespaces of the unprivileged uid a desktop gets: run the server as "
    "an ordinary user with a profile, or "
    "`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
)
_CONTAINER = (
    "user namespaces are disabled or forbidden: on a host `sudo sysctl -w "
    "kernel.unprivileged_userns_clone=1 user.max_user_namespaces=65536`; in a container run it "
    "with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined`, or a seccomp profile that allows clone and unshare"
)
_REMEDIES = (
    ("uid map: Permission", _APPARMOR),
    ("uid map: Operation", "root of a container without CAP_SETFCAP may not hand its uid on: "
     "add that capability, or run the server as an ordinary user of the container"),
    ("RTM_NEWADDR", _APPARMOR),
    ("No space left", "user namespaces are used up or disabled: "
     "`sudo sysctl -w user.max_user_namespaces=65536`"),
    ("creating new namespace", _CONTAINER),
    ("mount proc", "the container masks /proc: run it with "
     "`--security-opt systempaths=unconfined` (Docker) or `--security-opt unmask=ALL` (Podman)"),
    ("CLONE_NEWNS", "root without CAP_SYS_ADMIN: run the server as an ordinary user instead, "
     "`setpriv --reuid 1000 --clear-groups sentient desktop serve`"),
    ("setgroups", "root without CAP_SETUID/CAP_SETGID: run the server as an ordinary user"),
    ("setresuid", "root without CAP_SETUID/CAP_SETGID: run the server as an ordinary user"),
)  # fmt: skip


def explain(message: str) -> str:
    """Turn bubblewrap's complaint into one line that names cause and remedy."""
    for needle, remedy in _REMEDIES:
        if needle.lower() in message.lower():
            by_path = remedy is _APPARMOR and os.geteuid() == 0
            return f"{message} - {_APPARMOR_ROOT if by_path else remedy}"
    return f"{message} - this machine refused an isolated desktop; see the line for the call"


def apparmor_profile() -> str:
    """Return the text of a profile that lets our bubblewrap, and nothing else, make namespaces.

    Whoever can write to the program's path gets the same right: keep its folder to yourself.
    """
    return (
        "abi <abi/4.0>,\n"
        "include <tunables/global>\n\n"
        f'profile sentient-bwrap "{chosen_program()}" flags=(unconfined) {{\n'
        "  userns,\n"
        "  include if exists <local/sentient-bwrap>\n"
        "}\n"
    )
