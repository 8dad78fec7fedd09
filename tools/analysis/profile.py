"""What kind of repository it is: languages, tests, entry points, commands, packages.

Decided from names of files and the texts of build files; nothing is executed, and what is not
recognised is left out.
"""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from tools.analysis.paths import is_test

LISTED = 20
"""Entries of each list that are kept."""

MANAGERS = (
    ("uv.lock", "uv"), ("poetry.lock", "poetry"), ("pdm.lock", "pdm"), ("Pipfile", "pipenv"),
    ("pyproject.toml", "pip"), ("requirements.txt", "pip"), ("setup.py", "pip"),
    ("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun"),
    ("package.json", "npm"), ("go.mod", "go"), ("Cargo.toml", "cargo"), ("pom.xml", "maven"),
    ("build.gradle", "gradle"), ("build.gradle.kts", "gradle"), ("conanfile.txt", "conan"),
    ("CMakeLists.txt", "cmake"), ("Makefile", "make"),
)  # fmt: skip
"""What manages packages, by a file at the top; the first of an ecosystem counts."""

ECOSYSTEM = {
    "uv": "Python", "poetry": "Python", "pdm": "Python", "pipenv": "Python", "pip": "Python",
    "pnpm": "JavaScript", "yarn": "JavaScript", "bun": "JavaScript", "npm": "JavaScript",
    "maven": "Java", "gradle": "Java", "cmake": "C", "make": "C", "conan": "C",
}  # fmt: skip

NODE_RUNNERS = ("vitest", "jest", "mocha", "ava", "tap", "jasmine", "karma")
TARGET = re.compile(r"^([A-Za-z][\w.-]*)\s*:(?!=)", re.M)
MAINS = frozenset({"Go", "Rust", "Java", "C", "C++"})


class Tests(BaseModel):
    """Where the tests are, what runs them, and the command for all of them."""

    files: int = 0
    folders: list[str] = []
    """The topmost folders that hold tests, the one with most files first."""
    frameworks: list[str] = []
    commands: list[str] = []


class Profile(BaseModel):
    """What is known of a repository as a whole."""

    files: int = 0
    lines: dict[str, int] = {}
    """By language, most first; only of files that were parsed."""
    parsed: int = 0
    unparsed: int = 0
    """Source files that are too large, or that no parser got through."""
    tests: Tests = Tests()
    entry_points: list[str] = []
    commands: dict[str, str] = {}
    """Named commands of the repository: scripts of package.json, targets of the Makefile."""
    managers: list[str] = []
    """What manages dependencies, one an ecosystem."""

    def summary(self) -> str:
        """One line for people: how large, in what languages, how it is tested."""
        languages = ", ".join(f"{name} {count}" for name, count in list(self.lines.items())[:3])
        tested = f" ({', '.join(self.tests.frameworks)})" if self.tests.frameworks else ""
        size = f"{self.files} files; lines: {languages or 'none'}"
        plural = "" if self.tests.files == 1 else "s"
        return f"{size}; {self.tests.files} test file{plural}{tested}"


def describe(
    paths: Sequence[str],
    manifests: Mapping[str, str],
    lines: Mapping[str, int],
    mains: Iterable[str],
    *,
    parsed: int,
    unparsed: int,
) -> Profile:
    """Put together what is known; `mains` are files that define a `main`."""
    package = _object(_json(manifests.get("package.json", "")))
    project = _toml(manifests.get("pyproject.toml", ""))
    top = {path for path in paths if "/" not in path}
    frameworks = _frameworks(paths, top, manifests, package, project)
    managers = _managers(top)
    return Profile(
        files=len(paths),
        lines=dict(sorted(lines.items(), key=lambda item: -item[1])),
        parsed=parsed,
        unparsed=unparsed,
        tests=Tests(
            files=sum(map(is_test, paths)),
            folders=_test_folders(paths),
            frameworks=list(frameworks),
            commands=[command for command in frameworks.values() if command],
        ),
        entry_points=_entry_points(paths, mains, manifests, package, project)[:LISTED],
        commands=_commands(manifests, package),
        managers=managers,
    )


def _managers(top: set[str]) -> list[str]:
    found: dict[str, str] = {}
    for name, manager in MANAGERS:
        if name in top:
            found.setdefault(ECOSYSTEM.get(manager, manager), manager)
    return list(found.values())


def _frameworks(
    paths: Sequence[str],
    top: set[str],
    manifests: Mapping[str, str],
    package: Mapping[str, Any],
    project: Mapping[str, Any],
) -> dict[str, str]:
    """What runs the tests, and with which command."""
    found: dict[str, str] = {}
    python_tests = [path for path in paths if path.endswith(".py") and is_test(path)]
    configured = "[pytest]" in manifests.get("pytest.ini", "") + manifests.get("tox.ini", "")
    configured |= "[tool:pytest]" in manifests.get("setup.cfg", "")
    configured |= "pytest" in _object(project.get("tool"))
    if configured or any(path.endswith("conftest.py") for path in python_tests):
        found["pytest"] = "pytest"
    elif python_tests:
        found["pytest or unittest"] = "pytest"
    for runner in _node_runners(paths, package):
        found[runner] = "" if "npm test" in found.values() else "npm test"
    if "go.mod" in top and any(path.endswith("_test.go") for path in paths):
        found["go test"] = "go test ./..."
    if "Cargo.toml" in top:
        found["cargo test"] = "cargo test"
    for name, command in (
        ("pom.xml", "mvn test"),
        ("build.gradle", "gradle test"),
        ("build.gradle.kts", "gradle test"),
    ):
        if name in top:
            found[command.split()[0]] = command
    if "enable_testing" in manifests.get("CMakeLists.txt", ""):
        found["ctest"] = "ctest"
    return found


def _node_runners(paths: Sequence[str], package: Mapping[str, Any]) -> list[str]:
    """Node's own runner by its script, or where there are tests and nothing else to run them."""
    needed = {**_object(package.get("dependencies")), **_object(package.get("devDependencies"))}
    script = str(_object(package.get("scripts")).get("test", ""))
    found = [
        name
        for name in NODE_RUNNERS
        if name in needed or name in script or any(p.startswith(f"{name}.config.") for p in paths)
    ]
    if "node --test" in script:
        return ["node --test", *found]
    scripts = any(path.endswith((".js", ".mjs", ".cjs")) and is_test(path) for path in paths)
    return found or (["node --test"] if scripts and not script else [])


def _test_folders(paths: Sequence[str]) -> list[str]:
    folders: Counter[str] = Counter()
    for path in paths:
        if is_test(path):
            parts = path.split("/")[:-1]
            tested = [n for n, part in enumerate(parts) if is_test(f"{part}/x")]
            folders["/".join(parts[: tested[0] + 1] if tested else parts) or "."] += 1
    return [folder for folder, _ in folders.most_common(LISTED)]


def _entry_points(
    paths: Sequence[str],
    mains: Iterable[str],
    manifests: Mapping[str, str],
    package: Mapping[str, Any],
    project: Mapping[str, Any],
) -> list[str]:
    scripts = _object(_object(project.get("project")).get("scripts"))
    found = [f"{name} = {target}" for name, target in scripts.items()]
    binaries = package.get("bin")
    if isinstance(binaries, str):
        found.append(binaries)
    found += [f"{name} = {target}" for name, target in _object(binaries).items()]
    if isinstance(package.get("main"), str):
        found.append(package["main"])
    for target in _toml(manifests.get("Cargo.toml", "")).get("bin", []):
        found.append(str(_object(target).get("path", "")))
    found += [path for path in paths if path.endswith("/__main__.py") and not is_test(path)]
    found += [path for path in mains if not is_test(path)]
    return [text[:200] for text in dict.fromkeys(found) if text]


def _commands(manifests: Mapping[str, str], package: Mapping[str, Any]) -> dict[str, str]:
    scripts = _object(package.get("scripts"))
    found = {f"npm run {name}": str(line)[:200] for name, line in scripts.items()}
    for name in TARGET.findall(manifests.get("Makefile", "")):
        found.setdefault(f"make {name}", "")
    return dict(list(found.items())[: 2 * LISTED])


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
