"""What is recognised from names and build files."""

import json
from typing import Any

import pytest

from tools.analysis.profile import Profile, describe
from tools.runners import detected_command


def profile(paths: list[str], mains: list[str] | None = None, **manifests: Any) -> Profile:
    texts = {name.replace("__", "."): text for name, text in manifests.items()}
    return describe([*paths, *texts], texts, {}, mains or [], parsed=0, unparsed=0)


def test_profile_of_a_python_project_names_runner_scripts_and_manager() -> None:
    found = profile(
        ["uv.lock", "src/app/__main__.py", "tests/unit/test_a.py", "tests/conftest.py"],
        pyproject__toml='[project.scripts]\napp = "app.cli:main"\n[tool.pytest.ini_options]\n',
        Makefile="VAR := 1\ntest: setup\n\tpytest\nsetup:\n",
    )
    assert found.tests.frameworks == ["pytest"]
    assert found.tests.commands == ["pytest"]
    assert found.tests.folders == ["tests"]
    assert found.tests.files == 2
    assert found.entry_points == ["app = app.cli:main", "src/app/__main__.py"]
    assert found.managers == ["uv", "make"]
    assert list(found.commands) == ["make test", "make setup"]


def test_profile_of_a_node_project_names_runner_and_scripts() -> None:
    package = {
        "main": "lib/index.js", "bin": {"cart": "bin/cart.js"},
        "scripts": {"test": "vitest run", "lint": "eslint ."}, "devDependencies": {"vitest": "1"},
    }  # fmt: skip
    found = profile(["pnpm-lock.yaml", "src/a.spec.ts"], package__json=json.dumps(package))
    assert found.tests.frameworks == ["vitest"]
    assert found.tests.commands == ["npm test"]
    assert found.managers == ["pnpm"]
    assert found.entry_points == ["cart = bin/cart.js", "lib/index.js"]
    assert found.commands["npm run lint"] == "eslint ."


@pytest.mark.parametrize(
    ("paths", "script", "command"),
    [
        (["a.test.js"], "", "node --test"),
        (["a.test.js"], "node --test 'src/*.js'", "node --test 'src/*.js'"),
        (["a.test.js"], "npm run build && node --test", "node --test"),
        (["a.test.js", "test_a.py"], "node --test", ""),
        (["a.test.js"], "make check", ""),
        (["a.test.js"], "vitest run src", "vitest run src"),
        (["a.test.ts"], "npm run build && jest", "jest"),
        (["a.test.ts"], "mocha", ""),
        (["a.test.ts", "vitest.config.ts"], "make check", "vitest run"),
        (["a.js"], "", ""),
    ],
)
def test_detected_command_is_nodes_where_nothing_else_is_meant(
    paths: list[str], script: str, command: str
) -> None:
    package = {"scripts": {"test": script}} if script else {}
    assert detected_command(profile(paths, package__json=json.dumps(package))) == command


@pytest.mark.parametrize(
    ("paths", "command", "manager"),
    [
        (["go.mod", "a_test.go"], "go test ./...", "go"),
        (["Cargo.toml"], "cargo test", "cargo"),
        (["pom.xml"], "mvn test", "maven"),
        (["build.gradle"], "gradle test", "gradle"),
    ],
)
def test_profile_of_compiled_languages(paths: list[str], command: str, manager: str) -> None:
    found = profile(paths, mains=["cmd/app/main.go", "a_test.go"])
    assert found.tests.commands == [command]
    assert found.managers == [manager]
    assert found.entry_points == ["cmd/app/main.go"]


@pytest.mark.parametrize("text", ["{", "[]", '{"scripts": 3, "bin": 1, "main": []}', "[" * 50_000])
def test_profile_of_nonsense_in_build_files_is_empty(text: str) -> None:
    found = profile([], package__json=text, pyproject__toml=text)
    assert found.entry_points == []
    assert found.tests.commands == []
