"""What a pyproject.toml or a Pipfile asks for, read without running anything of the repository."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tools.environment.tables import table, words

TESTING = frozenset(
    {"test", "tests", "testing", "dev", "develop", "development", "all-tests", "unittest"}
)
"""Names of extras and groups that tests may need."""


def is_testing(name: str) -> bool:
    """Whether an extra, a group or a file of this name is for tests or development."""
    return canonicalize_name(name) in TESTING


class Project:
    """A pyproject.toml, read once."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._project = table(document.get("project"))
        self._poetry = table(table(document.get("tool")).get("poetry"))

    @property
    def is_package(self) -> bool:
        """Whether the project says how it is built, so that it can be installed itself."""
        packaged = self._poetry.get("package-mode") is not False
        return packaged and bool(table(self._document.get("build-system")))

    @property
    def dependencies(self) -> list[str]:
        """What it cannot run without; what only building would tell is not in it."""
        if "dependencies" in self._project or not self._poetry:
            return words(self._project.get("dependencies"))
        return list(of_table(table(self._poetry.get("dependencies"))))

    @property
    def extras(self) -> list[str]:
        """Names of its extras that tests may need."""
        names = [
            *table(self._project.get("optional-dependencies")),
            *table(self._poetry.get("extras")),
        ]
        return [name for name in names if is_testing(name)]

    @property
    def testing(self) -> list[str]:
        """What its extras and groups for tests and development ask for."""
        found = [line for name in self.extras for line in self._extra(name, frozenset())]
        groups = table(self._document.get("dependency-groups"))
        found += [line for name in groups if is_testing(name) for line in self._group(name, ())]
        poetry = table(self._poetry.get("group"))
        for name, group in {**poetry, "dev": {**table(poetry.get("dev"))}}.items():
            if is_testing(name):
                found += of_table(table(table(group).get("dependencies")))
        found += of_table(table(self._poetry.get("dev-dependencies")))
        uv = table(table(self._document.get("tool")).get("uv"))
        return list(dict.fromkeys([*found, *words(uv.get("dev-dependencies"))]))

    def _extra(self, name: str, seen: frozenset[str]) -> Iterator[str]:
        """An extra; where it names other extras of this very project, those in its place."""
        own = canonicalize_name(str(self._project.get("name", "")))
        extras = table(self._project.get("optional-dependencies"))
        for line in words(extras.get(name)) if name not in seen else []:
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                requirement = None
            if requirement is not None and own and canonicalize_name(requirement.name) == own:
                for extra in sorted(requirement.extras):
                    yield from self._extra(extra, seen | {name})
            else:
                yield line

    def _group(self, name: str, seen: tuple[str, ...]) -> Iterator[str]:
        groups = table(self._document.get("dependency-groups"))
        entries = groups.get(name) if name not in seen else None
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, str):
                yield entry
            elif isinstance(other := table(entry).get("include-group"), str):
                yield from self._group(other, (*seen, name))


def of_table(dependencies: Mapping[str, Any]) -> Iterator[str]:
    """Requirements of a table of poetry's or pipenv's; folders, addresses and options are not."""
    for name, value in dependencies.items():
        entry = {"version": value} if isinstance(value, str) else table(value)
        known = isinstance(entry.get("version"), str) and entry.get("optional") is not True
        if canonicalize_name(name) == "python" or not known:
            continue
        extras = f"[{','.join(words(entry.get('extras')))}]" if words(entry.get("extras")) else ""
        marker = entry.get("markers")
        condition = f" ; {marker}" if isinstance(marker, str) else ""
        yield f"{name}{extras}{specifier(entry['version'])}{condition}"


def specifier(version: str) -> str:
    """A version as poetry writes it, in the notation of indexes: `^1.2` is `>=1.2,<2`."""
    return ",".join(filter(None, (_one(part.strip()) for part in version.split(","))))


def _one(part: str) -> str:
    found = re.fullmatch(r"([\^~]?)\s*(\d+(?:\.\d+)*)((?:\.\*)?)", part)
    if found is None:
        return "" if part in ("*", "") else part
    sign, release, wild = found.groups()
    numbers = [int(number) for number in release.split(".")]
    if not sign:
        return f"=={release}{wild}"
    fixed = next((n for n, number in enumerate(numbers) if number), len(numbers) - 1)
    last = fixed if sign == "^" else min(1, len(numbers) - 1)
    above = ".".join(map(str, [*numbers[:last], numbers[last] + 1]))
    return f">={release},<{above}"
