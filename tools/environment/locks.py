"""Lock files as constraints: they say which version of a package, not that it is needed.

So what a lock holds for other platforms, or for extras that nobody asked for, does no harm.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tools.environment.requirements import Wanted, add
from tools.environment.tables import entries, table, toml

TOML_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml")
PIPENV_LOCK = "Pipfile.lock"
LOCKS = (*TOML_LOCKS, PIPENV_LOCK)


def constrain(texts: Mapping[str, str], wanted: Wanted) -> str:
    """Add the versions of the first lock file there is; return its name, empty for none."""
    for name in LOCKS:
        if name in texts:
            found = _pipenv(texts[name]) if name == PIPENV_LOCK else _packages(texts[name])
            for line in found:
                add(line, name, wanted, limits=True)
            return name
    return ""


def _packages(text: str) -> Iterator[str]:
    """One line for each version; versions that hold under a condition carry it."""
    packages: dict[str, list[tuple[str, str]]] = defaultdict(list)
    locked = toml(text)
    for package in entries(locked.get("package")) or entries(locked.get("packages")):
        name, version = package.get("name"), package.get("version")
        if isinstance(name, str) and isinstance(version, str) and _is_from_index(package):
            packages[name].append((version, _marker(package)))
    for name, versions in packages.items():
        if len(versions) == 1:
            yield f"{name}=={versions[0][0]}"
        else:
            yield from (f"{name}=={version} ; {m}" for version, m in versions if m)


def _is_from_index(package: Mapping[str, Any]) -> bool:
    """What comes from a folder, an address or a repository has no version to ask an index for."""
    source = table(package.get("source"))
    return source.get("type", "legacy") == "legacy" and not source.keys() & {
        "git", "url", "path", "directory", "editable", "virtual",
    }  # fmt: skip


def _marker(package: Mapping[str, Any]) -> str:
    markers = package.get("resolution-markers", package.get("markers", package.get("marker")))
    if isinstance(markers, list):
        return " or ".join(f"({marker})" for marker in markers if isinstance(marker, str))
    return markers if isinstance(markers, str) else ""


def _pipenv(text: str) -> Iterator[str]:
    try:
        locked = table(json.loads(text))
    except (ValueError, RecursionError):
        return
    for section in ("default", "develop"):
        for name, package in table(locked.get(section)).items():
            version = table(package).get("version")
            if isinstance(version, str):
                yield f"{name}{version}"
