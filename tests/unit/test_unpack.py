"""What an archive may not hold; the check works on every Python, with and without filters."""

import tarfile

import pytest

from tools.inside.unpack import refuse_escapes


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "info",
    [
        member("../x"),
        member("/etc/x"),
        member("a/../../x"),
        member("a/link", tarfile.SYMTYPE, "../../x"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("hard", tarfile.LNKTYPE, "../x"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.name} {info.linkname}".strip(),
)
def test_refuse_escapes_hostile_member_is_refused(info: tarfile.TarInfo) -> None:
    with pytest.raises(SystemExit, match=info.name):
        refuse_escapes([info])


def test_refuse_escapes_ordinary_members_are_taken() -> None:
    links = [member("a/link", tarfile.SYMTYPE, "../b/c"), member("hard", tarfile.LNKTYPE, "a/x")]
    refuse_escapes([member("a/x"), *links])
