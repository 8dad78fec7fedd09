"""The jail's command line: what must always be in it, in which order, and what changes it."""

from dataclasses import replace

import pytest

from sentient_desktop.sandbox.argv import (
    MOUNT_POINTS,
    Jail,
    OverlayRoot,
    PlainRoot,
    build_argv,
)

OVERLAY = OverlayRoot(["/e", "/l0", "/l1"], "/d/upper", "/d/work")
JAIL = Jail(
    bwrap="/b/bwrap",
    root=OVERLAY,
    etc="/t/etc",
    desktop="/t/desktop",
    python_prefix="/py",
    site_packages="/opt/python/lib/python3.11/site-packages",
    top_dirs=[("bin", "/usr/bin"), ("lib64", "/usr/lib64")],
    boot_id="/d/boot_id",
    command=["/opt/desktop/bin/python3.11", "agent"],
)
VARIANTS = {
    "overlay": JAIL,
    "plain": replace(JAIL, root=PlainRoot("/d/root")),
    "system python": replace(JAIL, python_prefix=None, site_packages=None),
    "local python": replace(JAIL, python_prefix=None, usr_local="/usr/local"),
    "nothing masked": replace(JAIL, masked=()),
}
GOLDEN = """
/b/bwrap --unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-net
--unshare-cgroup-try --disable-userns --assert-userns-disabled --uid 1000 --gid 1000
--hostname desktop --die-with-parent --new-session --as-pid-1 --cap-drop ALL --clearenv
--overlay-src /e --overlay-src /l0 --overlay-src /l1 --overlay /d/upper /d/work /
--ro-bind /usr /usr --ro-bind /usr/bin /bin --ro-bind /usr/lib64 /lib64
--tmpfs /usr/local --remount-ro /usr/local --tmpfs /usr/src --remount-ro /usr/src
--ro-bind /t/etc /etc
--tmpfs /opt --ro-bind /t/desktop /opt/desktop --ro-bind /py /opt/python
--tmpfs /opt/python/lib/python3.11/site-packages
--remount-ro /opt/python/lib/python3.11/site-packages --remount-ro /opt
--proc /proc --ro-bind /proc/sys /proc/sys
--ro-bind /d/boot_id /proc/sys/kernel/random/boot_id --ro-bind /dev/null /proc/keys
--ro-bind /dev/null /proc/kallsyms --ro-bind /dev/null /proc/cmdline
--dev /dev --size 268435456 --perms 1777 --tmpfs /dev/shm --remount-ro /dev
--size 268435456 --perms 0755 --tmpfs /run
--chdir / --info-fd 5 --seccomp 4 -- /opt/desktop/bin/python3.11 agent
"""
TARGET_OPERAND = {
    "--ro-bind": 2,
    "--bind": 2,
    "--overlay": 3,
    "--tmpfs": 1,
    "--proc": 1,
    "--dev": 1,
}


def _mounts(argv: list[str]) -> list[tuple[str, str]]:
    """Return (option, mount point) in order."""
    found = []
    for position, word in enumerate(argv[: argv.index("--")]):
        if word in TARGET_OPERAND:
            found.append((word, argv[position + TARGET_OPERAND[word]]))
    return found


def test_argv_of_an_overlay_jail_is_exactly_this() -> None:
    assert build_argv(JAIL) == GOLDEN.split()


@pytest.mark.parametrize("jail", VARIANTS.values(), ids=VARIANTS)
def test_argv_of_every_variant_keeps_the_walls(jail: Jail) -> None:
    argv = build_argv(jail)
    for wall in (
        "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--disable-userns",
        "--clearenv", "--new-session", "--die-with-parent", "--seccomp",
    ):  # fmt: skip
        assert argv.count(wall) == 1
    assert argv[argv.index("--cap-drop") + 1] == "ALL"
    mounts = _mounts(argv)
    assert mounts[0][1] == "/"
    assert [point for option, point in mounts if option in {"--bind", "--overlay"}] == ["/"]
    assert ("--ro-bind", "/proc/sys") in mounts


@pytest.mark.parametrize("jail", VARIANTS.values(), ids=VARIANTS)
def test_argv_mounts_nothing_below_a_folder_the_guest_owns(jail: Jail) -> None:
    """A guest may replace any folder of its root that is not itself a mount point."""
    mounted = {"/"}
    for _, point in _mounts(build_argv(jail))[1:]:
        parent = "/" + "/".join(point.split("/")[1:2])
        assert parent in mounted or point == parent, point
        assert parent.strip("/") in MOUNT_POINTS
        mounted.add(point)


def test_argv_without_a_filter_names_none() -> None:
    assert "--seccomp" not in build_argv(replace(JAIL, seccomp=False))
