"""What is to be installed for a repository: decided from its manifests, nothing is executed."""

import hashlib
import json
import re
from collections.abc import Mapping

from pydantic import BaseModel

from tools.environment import node
from tools.environment.locks import LOCKS, constrain
from tools.environment.pyproject import Project, of_table
from tools.environment.requirements import Wanted, add, read_file
from tools.environment.tables import table, toml

FORMAT = 1
"""Raised when environments are made in another way, so that old ones are not taken for new."""

MANIFEST = re.compile(
    r"pyproject\.toml|setup\.(py|cfg)|PKG-INFO|Pipfile|package\.json|"
    + "|".join(map(re.escape, (*LOCKS, *node.LOCKS, *node.OTHER_LOCKS)))
    + r"|[^/]*(requirements|constraints)[^/]*\.txt|(requirements|tests?)/[^/]*\.txt"
)
"""Files that say what their repository needs, and what these may include."""

_KIND = r"(dev|develop|development|tests?|testing|ci)"
REQUIRED = re.compile(r"requirements(/(base|main|default|prod|requirements))?\.txt")
TESTING = re.compile(
    rf"requirements[-_./]{_KIND}\.txt|{_KIND}[-_]requirements\.txt|tests?/requirements\.txt"
)


class Plan(BaseModel, frozen=True):
    """What to install. Everything but the package itself comes from an index."""

    required: list[str] = []
    testing: list[str] = []
    """For tests and development; gone without when it cannot be had."""
    constraints: list[str] = []
    node: dict[str, str] = {}
    """Files by which npm installs, by name."""
    package: bool = False
    """Whether the repository is a package, to be installed itself, in place."""
    extras: list[str] = []
    """Extras of the package that tests may need, as far as they can be known without building."""
    version: str = "0"
    """The package's version, for those that are not told by their files."""
    lock: str = ""
    left_out: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to install."""
        return not (self.required or self.testing or self.package or self.node)

    @property
    def count(self) -> int:
        """Requirements that are named."""
        named = json.loads(self.node.get(node.PACKAGE, "{}"))
        kinds = ("dependencies", "devDependencies")
        return len(self.required) + len(self.testing) + sum(len(named.get(k, ())) for k in kinds)

    @property
    def digest(self) -> str:
        """Names what comes from indexes: the same for the same requirements."""
        parts = self.model_dump_json(include={"required", "testing", "constraints", "node"})
        return hashlib.sha256(parts.encode()).hexdigest()


def plan_install(texts: Mapping[str, str]) -> Plan:
    """Decide from the texts of a repository's manifests, by path."""
    project = Project(toml(texts.get("pyproject.toml", "")))
    pipfile = toml(texts.get("Pipfile", ""))
    required, testing = Wanted(), Wanted()
    for line in [*project.dependencies, *of_table(table(pipfile.get("packages")))]:
        add(line, "pyproject.toml", required)
    for line in [*project.testing, *of_table(table(pipfile.get("dev-packages")))]:
        add(line, "pyproject.toml", testing)
    for name in sorted(texts):
        if REQUIRED.fullmatch(name):
            read_file(name, texts, required)
        elif TESTING.fullmatch(name):
            read_file(name, texts, testing)
    lock = constrain(texts, required)
    version = re.search(r"^Version: (\S+)$", texts.get("PKG-INFO", ""), re.M)
    left_out = [*required.left_out, *testing.left_out]
    files = node.node_files(texts, left_out)
    legacy = "setup.py" in texts or "[metadata]" in texts.get("setup.cfg", "")
    return Plan(
        required=_unique(required.requirements),
        testing=_unique(testing.requirements),
        constraints=_unique([*required.constraints, *testing.constraints]),
        package=project.is_package or legacy,
        extras=project.extras or (["test", "tests", "testing", "dev"] if legacy else []),
        version=version[1] if version else "0",
        lock=lock,
        node=files,
        left_out=_unique(left_out),
    )


def _unique(lines: list[str]) -> list[str]:
    return sorted(set(lines))
