"""What a package.json asks for, as npm can install it beside the repository.

npm gets dependencies alone: no script of the repository is run, and versions of the lock come
without addresses, so that they are looked up in the user's own registry.
"""

import json
from collections.abc import Mapping
from typing import Any

from tools.environment.tables import table

PACKAGE, LOCKS, OTHER_LOCKS = (
    "package.json",
    ("package-lock.json", "npm-shrinkwrap.json"),
    ("yarn.lock", "pnpm-lock.yaml", "bun.lock"),
)

KEPT = ("name", "version", "dependencies", "devDependencies", "optionalDependencies", "overrides")


def node_files(texts: Mapping[str, str], left_out: list[str]) -> dict[str, str]:
    """The files that npm needs, by name; none where a repository asks for nothing of it."""
    package = _object(texts.get(PACKAGE, ""))
    if not (table(package.get("dependencies")) or table(package.get("devDependencies"))):
        return {}
    if package.get("workspaces"):
        left_out.append(f"{PACKAGE}: packages of its workspaces")
    files = {PACKAGE: json.dumps({name: package[name] for name in KEPT if name in package})}
    lock = next((name for name in LOCKS if name in texts), "")
    locked = _object(texts.get(lock, ""))
    if isinstance(locked.get("packages"), dict) and not package.get("workspaces"):
        for entry in locked["packages"].values():
            if str(table(entry).get("resolved", "")).startswith(("http:", "https:")):
                del entry["resolved"]
        files[LOCKS[0]] = json.dumps(locked)
    elif other := next((name for name in (lock, *OTHER_LOCKS) if name and name in texts), ""):
        left_out.append(f"{other}: its versions, npm chooses them")
    return files


def _object(text: str) -> dict[str, Any]:
    try:
        return table(json.loads(text))
    except (ValueError, RecursionError):
        return {}
