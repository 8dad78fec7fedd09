"""What is to be installed, from manifests alone."""

import json
from textwrap import dedent

import pytest

from tools.environment.plan import MANIFEST, Plan, plan_install
from tools.environment.pyproject import specifier


def plan(**texts: str) -> Plan:
    return plan_install({name.replace("__", "."): dedent(text) for name, text in texts.items()})


def test_plan_pyproject_takes_dependencies_and_what_tests_need() -> None:
    found = plan(
        pyproject__toml="""
        [build-system]
        requires = ["hatchling"]
        [project]
        name = "shop"
        dependencies = ["attrs>=23", "local @ file:///tmp/x"]
        [project.optional-dependencies]
        test = ["hypothesis", "shop[speed]"]
        speed = ["numpy"]
        docs = ["sphinx"]
        [dependency-groups]
        dev = ["pytest>=8", {include-group = "lint"}]
        lint = ["ruff"]
        """
    )
    assert found.required == ["attrs>=23"]
    assert found.testing == ["hypothesis", "numpy", "pytest>=8", "ruff"]
    assert (found.package, found.extras) == (True, ["test"])
    assert found.left_out == ["pyproject.toml: local @ file:///tmp/x"]


def test_plan_requirement_files_keeps_hashes_and_leaves_out_what_no_index_has() -> None:
    digest = "a" * 64
    found = plan_install(
        {
            "requirements.txt": f"attrs==23.1 \\\n  --hash=sha256:{digest}\n-r more/base.txt\n"
            "-e .\ngit+https://example.com/x.git  # a comment\n--prefer-binary\n",
            "requirements-dev.txt": "-r requirements.txt\n-c constraints.txt\npytest-mock\n",
            "constraints.txt": "pytest-mock<4\n",
            "docs-requirements.txt": "sphinx\n",
        }
    )
    assert found.required == [f"attrs==23.1 --hash=sha256:{digest}"]
    assert f"attrs==23.1 --hash=sha256:{digest}" in found.testing
    assert "pytest-mock" in found.testing
    assert found.constraints == ["pytest-mock<4"]
    assert found.left_out == [
        "more/base.txt: there is no such file, or it is too large",
        "requirements.txt: --prefer-binary",
        "requirements.txt: -e .",
        "requirements.txt: git+https://example.com/x.git",
    ]
    assert not found.package


def test_plan_requirement_files_that_include_each_other_end() -> None:
    found = plan_install(
        {
            "requirements.txt": "-r requirements-dev.txt\na\n",
            "requirements-dev.txt": "-r requirements.txt\nb\n",
        }
    )
    assert found.required == ["a", "b"]


def test_plan_poetry_takes_names_from_the_project_and_versions_from_the_lock() -> None:
    found = plan(
        pyproject__toml="""
        [build-system]
        requires = ["poetry-core"]
        [tool.poetry.dependencies]
        python = "^3.11"
        attrs = "^23.1"
        tomli = {version = "*", markers = "python_version < '3.11'"}
        own = {path = "../own"}
        extra = {version = "^1", optional = true}
        [tool.poetry.group.dev.dependencies]
        pytest = {version = "^8", extras = ["dev"]}
        """,
        poetry__lock="""
        [[package]]
        name = "attrs"
        version = "23.2.0"
        [[package]]
        name = "own"
        version = "0.1"
        source = {type = "directory", url = "../own"}
        """,
    )
    assert found.required == ["attrs<24,>=23.1", 'tomli; python_version < "3.11"']
    assert found.testing == ["pytest[dev]<9,>=8"]
    assert (found.constraints, found.lock) == (["attrs==23.2.0"], "poetry.lock")


def test_plan_uv_lock_versions_of_several_platforms_keep_their_conditions() -> None:
    found = plan(
        pyproject__toml='[project]\nname = "shop"\ndependencies = ["numpy"]\n',
        uv__lock="""
        [[package]]
        name = "shop"
        version = "0.1"
        source = {editable = "."}
        [[package]]
        name = "numpy"
        version = "1.26.0"
        source = {registry = "../wheels"}
        resolution-markers = ["python_full_version < '3.12'"]
        [[package]]
        name = "numpy"
        version = "2.1.0"
        source = {registry = "../wheels"}
        resolution-markers = ["python_full_version >= '3.12'", "sys_platform == 'win32'"]
        """,
    )
    assert found.constraints == [
        'numpy==1.26.0; python_full_version < "3.12"',
        'numpy==2.1.0; python_full_version >= "3.12" or sys_platform == "win32"',
    ]
    assert not found.package


def test_plan_pipenv_reads_both_sections_and_the_lock() -> None:
    found = plan(
        Pipfile='[packages]\nattrs = "*"\n[dev-packages]\npytest = ">=8"\n',
        Pipfile__lock='{"default": {"attrs": {"version": "==23.1"}}, "develop": {"x": {}}}',
    )
    assert (found.required, found.testing, found.constraints) == (
        ["attrs"],
        ["pytest>=8"],
        ["attrs==23.1"],
    )


def test_plan_package_json_keeps_dependencies_and_versions_without_addresses() -> None:
    address = "https://r.test/left.tgz"
    lock = {
        "lockfileVersion": 3,
        "packages": {
            "": {"dependencies": {"left": "^1"}},
            "node_modules/left": {"version": "1.2.0", "resolved": address},
            "node_modules/own": {"resolved": "own", "link": True},
        },
    }
    package = {"dependencies": {"left": "^1"}, "scripts": {"postinstall": "exit 1"}}
    texts = {"package.json": json.dumps(package), "package-lock.json": json.dumps(lock)}
    found = plan_install(texts)
    assert json.loads(found.node["package.json"]) == {"dependencies": {"left": "^1"}}
    locked = json.loads(found.node["package-lock.json"])["packages"]
    assert locked["node_modules/left"] == {"version": "1.2.0"}
    assert locked["node_modules/own"]["resolved"] == "own"
    assert not found.is_empty
    without = plan_install({"package.json": texts["package.json"], "yarn.lock": ""})
    assert without.left_out == ["yarn.lock: its versions, npm chooses them"]
    assert without.digest != found.digest
    assert plan_install({"package.json": '{"scripts": {"test": "node --test"}}'}).is_empty
    assert plan_install({"package.json": "["}).is_empty


def test_plan_setup_py_is_built_and_malformed_files_say_nothing() -> None:
    found = plan_install(
        {
            "setup.py": "",
            "pyproject.toml": "[project",
            "uv.lock": "]",
            "PKG-INFO": "Name: x\nVersion: 2.1\n",
        }
    )
    assert (found.package, found.version, found.required) == (True, "2.1", [])
    assert found.extras == ["test", "tests", "testing", "dev"]
    assert plan_install({}).is_empty


def test_plan_digest_is_of_what_is_installed_alone() -> None:
    one = plan(pyproject__toml='[project]\nname = "a"\nversion = "1"\ndependencies = ["x", "y"]\n')
    same = plan(pyproject__toml='[project]\nname = "a"\nversion = "2"\ndependencies = ["y","x"]\n')
    other = plan(pyproject__toml='[project]\nname = "a"\ndependencies = ["x"]\n')
    assert one.digest == same.digest != other.digest


@pytest.mark.parametrize(
    ("poetry", "index"),
    [
        ("^1.2.3", ">=1.2.3,<2"), ("^0.2.3", ">=0.2.3,<0.3"), ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0", ">=0,<1"), ("~1.2.3", ">=1.2.3,<1.3"), ("~1", ">=1,<2"), ("*", ""), ("1.2", "==1.2"),
        ("1.2.*", "==1.2.*"), (">=1, <2", ">=1,<2"),
    ],
)  # fmt: skip
def test_specifier_of_poetry_becomes_one_of_an_index(poetry: str, index: str) -> None:
    assert specifier(poetry) == index


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements/dev.txt", "dev-requirements.txt"]
)
def test_manifest_requirement_files_are_found(name: str) -> None:
    assert MANIFEST.fullmatch(name)
    assert not MANIFEST.fullmatch(f"deep/{name}")
