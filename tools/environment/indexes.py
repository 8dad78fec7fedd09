"""The package indexes that the user configured for pip or uv on this machine."""

import base64
import configparser
import netrc
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from tools.environment.tables import entries, toml, words
from tools.errors import UsageError
from tools.settings import Settings

PYPI = "https://pypi.org/simple/"
NPM = "https://registry.npmjs.org/"

PIP_FILES = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
"""In the order of pip: what comes later counts more."""

UV_FILES = ("~/.config/uv/uv.toml", "/etc/uv/uv.toml")
"""In the order of uv: what comes earlier counts more."""


@dataclass(frozen=True)
class Index:
    """An index by its address, without credentials, with a slash at its end."""

    url: str
    authorization: str = field(default="", repr=False)
    """The header that it gets, empty for none."""

    def is_at(self, url: str) -> bool:
        """Whether an address is on the index's own server: same scheme, host and port."""
        mine, other = urlsplit(self.url), urlsplit(url)
        return (mine.scheme, mine.netloc) == (other.scheme, other.netloc)


def configured_indexes(settings: Settings) -> list[Index]:
    """The user's indexes, the default one last, as in uv: extra ones are asked first. Blocking.

    The environment counts more than uv's files, these more than pip's. Indexes that are no web
    servers, such as folders, are left out.
    """
    primary, extra = _of_uv(settings)
    pip_primary, pip_extra = _of_pip(settings)
    default = settings.index_url.get_secret_value() or primary or pip_primary or PYPI
    more = settings.extra_index_url.get_secret_value().split() or extra or pip_extra
    known = _netrc(settings.netrc)
    found = [_index(url, known) for url in [*more, default]]
    return list(dict.fromkeys(index for index in found if index is not None))


def _of_uv(settings: Settings) -> tuple[str, list[str]]:
    for name in UV_FILES if not settings.uv_no_config else ():
        document = {_plain(key): value for key, value in toml(_text(name)).items()}
        indexes = entries(document.get("index"))
        urls = [str(index.get("url", "")) for index in indexes if not index.get("explicit")]
        default = [str(index.get("url", "")) for index in indexes if index.get("default") is True]
        primary = document.get("index_url")
        extra = [url for url in urls if url not in default]
        extra += words(document.get("extra_index_url"))
        if default or primary or extra:
            return (default or [str(primary or "")])[0], extra
    return "", []


def _of_pip(settings: Settings) -> tuple[str, list[str]]:
    primary, extra = "", list[str]()
    files = (*PIP_FILES, settings.pip_config_file)
    for name in files if settings.pip_config_file != os.devnull else ():
        parser = configparser.RawConfigParser(strict=False)
        parser.optionxform = _plain  # type: ignore[method-assign,assignment]  # pip takes both
        try:
            parser.read_string(_text(name))
        except configparser.Error:
            continue
        for section in ("global", "install"):
            primary = parser.get(section, "index_url", fallback=primary)
            given = parser.get(section, "extra_index_url", fallback="")
            extra = given.split() or extra
    return primary.strip(), extra


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _text(name: str) -> str:
    if not name:
        return ""
    try:
        return Path(name).expanduser().read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _netrc(name: str) -> netrc.netrc | None:
    try:
        return netrc.netrc(Path(name).expanduser())
    except (OSError, netrc.NetrcParseError, RuntimeError):
        return None


def _index(given: str, known: netrc.netrc | None) -> Index | None:
    """An address as it is written, perhaps `name=address`, perhaps with credentials."""
    url = re.sub(r"^[\w-]+=(?=\w+:)", "", given.strip().strip("'\""))
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    address = urlunsplit((parts.scheme, host + port, parts.path.rstrip("/") + "/", "", ""))
    if parts.username is not None:
        return Index(address, basic(unquote(parts.username), unquote(parts.password or "")))
    entry = known.authenticators(parts.hostname) if known else None
    return Index(address, basic(entry[0], entry[2] or "") if entry else "")


def basic(user: str, password: str) -> str:
    """The header of a name and a password."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def configured_registry(settings: Settings) -> Index:
    """The user's npm registry, with its token if there is one. Blocking.

    Raises:
        UsageError: one is given that is no web server: the public one may have other packages.
    """
    lines = (line.partition("=") for line in _text(settings.npm_config_file).splitlines())
    known = {name.strip(): value.strip().strip("\"'") for name, _, value in lines}
    given = settings.npm_registry.get_secret_value() or known.get("registry", "") or NPM
    index = _index(given, None)
    if index is None:
        raise UsageError(
            "npm's registry is no address of a web server", hint="see `npm config get registry`"
        )
    place = index.url.partition(":")[2]
    for name, scheme in (("_authToken", "Bearer"), ("_auth", "Basic")):
        if value := known.get(f"{place}:{name}") or known.get(f"{place.rstrip('/')}:{name}"):
            return Index(index.url, f"{scheme} {value}")
    return index


def shown(indexes: Iterable[Index]) -> str:
    """The indexes in words, without credentials."""
    return ", ".join(index.url for index in indexes)
