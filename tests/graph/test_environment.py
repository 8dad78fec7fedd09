"""Environments in real desktops, from an index of the test's own behind a password."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from package_index import (
    BUILD_SYSTEM,
    PackageIndex,
    backend,
    package_index,
    sdist,
    tarball,
    wheel,
)
from pydantic import SecretStr
from samples import CALCULATOR, Repo
from scripted_model import Script, call

from tools.connection import Connection
from tools.desktop import Desktop, delete_snapshot
from tools.layout import ENVIRONMENT
from tools.settings import Settings

PROBE = """
import json, os, socket, urllib.request
from pathlib import Path

def attempt(what):
    try:
        return str(what())[:300]
    except Exception as error:
        return f"refused: {type(error).__name__}"

def reach(host, port):
    with socket.create_connection((host, port), timeout=3):
        return "reached"

def grep(word):
    places = [Path(folder, name) for root in ("/home/user", "/tmp", "/etc")
              for folder, _, names in os.walk(root) for name in names]
    places += [Path("/proc", pid, name) for pid in filter(str.isdigit, os.listdir("/proc"))
               for name in ("environ", "cmdline")]
    for place in places:
        try:
            if word in place.read_bytes():
                return f"found in {place}"
        except OSError:
            pass
    return "absent"

relay = os.environ["UV_DEFAULT_INDEX"].partition("/0/")[0]
found = {
    "index itself": attempt(lambda: reach("127.0.0.1", @PORT@)),
    "internet": attempt(lambda: reach("198.51.100.7", 443)),
    "name": attempt(lambda: socket.getaddrinfo("example.com", 443)),
    "other path": attempt(lambda: urllib.request.urlopen(relay + "/file/99/x").status),
    "other host": attempt(lambda: urllib.request.urlopen(relay + "/http://127.0.0.1/x").status),
    "password": grep(b"canary-of-the-" + b"index"),
    "outside": [attempt(Path(place).touch) for place in ("/etc/x", "/opt/x", "/usr/x")],
}
Path("src").mkdir(exist_ok=True)
Path("src/probe_results.json").write_text(json.dumps(found))
Path.home().joinpath(".local/bin").mkdir(parents=True)
Path.home().joinpath(".local/bin/git").write_text("#!/bin/sh\\nexit 1\\n")
"""

PROJECT = f"""
{BUILD_SYSTEM}
[project]
name = "shop"
version = "1.0"
dependencies = ["greeting", "probe"]
[project.optional-dependencies]
test = ["helping"]
"""

FAILING = "tests/test_shop.py::test_shop"
TEST = """
import importlib.metadata
import greeting, helping, shop

def test_shop():
    assert shop.greet() == greeting.TEXT + "!"

def test_metadata():
    assert importlib.metadata.version("shop") == "1.0"
"""


@pytest.fixture(scope="module")
def index() -> Iterator[PackageIndex]:
    with package_index(
        wheel("greeting", "1.0", {"greeting.py": "TEXT = 'hello'\n"}),
        wheel("helping", "1.0", {"helping.py": ""}),
        tarball("left", "module.exports = 'right';"),
    ) as served:
        text = PROBE.replace("@PORT@", str(served.port))
        files = {"src/probe.py": "", "probe.py": text}
        served.files |= dict([sdist("probe", "1.0", files)])
        yield served


@pytest.fixture
def settings(settings: Settings, index: PackageIndex) -> Settings:
    """Settings under which the test's own index is the only one."""
    given = {
        "install": True, "index_url": SecretStr(index.url_with_password), "netrc": "/dev/null",
        "pip_config_file": "/dev/null", "uv_no_config": True, "npm_config_file": "/dev/null",
        "npm_registry": SecretStr(index.url_with_password),
    }  # fmt: skip
    return settings.model_copy(update=given)


def shop(repo: Repo, mark: str = "?") -> Path:
    """A package that greets wrongly."""
    code = f"import greeting\n\n\ndef greet():\n    return greeting.TEXT + {mark!r}\n"
    files = {
        "pyproject.toml": PROJECT,
        "backend.py": backend("shop", "1.0"),
        "src/shop/__init__.py": code,
        "src/shop/plugin.py": "raise SystemExit('a plugin of the repository was loaded')\n",
        "entry_points.txt": "[pytest11]\nshop = shop.plugin\n",
        "tests/test_shop.py": TEST,
    }
    return repo(files, name="shop")


async def prepared(graph: Any, source: Path, thread: str, **given: str) -> dict[str, Any]:
    """What `prepare` wrote."""
    config = {"configurable": {"thread_id": thread}}
    given = {"source": str(source), **given}
    return dict(await graph.ainvoke(given, config, interrupt_after=["prepare"]))


async def in_layer(settings: Settings, layer: str) -> tuple[str, dict[str, Any], list[str]]:
    """What `greeting` says in an environment, what the probe found, and which files there are."""
    program = "print(open(probe.__file__[:-3] + '_results.json').read()); print(greeting.TEXT)"
    show = f'{ENVIRONMENT}/bin/python -c "import greeting, probe; {program}"'
    async with await Desktop.create(
        template=layer, lifecycle="ephemeral", connection=Connection(settings)
    ) as desktop:
        done = await desktop.exec(f"{show}; find ~ -mindepth 1 -maxdepth 2")
    found, text, *files = done.stdout.splitlines()
    return text, json.loads(found), files


@pytest.mark.timeout(400)  # many desktops, on a machine that may be busy
async def test_environment_is_made_once_from_the_base_and_keeps_hostile_builds_in(
    scripted_graph: Any, settings: Settings, index: PackageIndex, repo: Repo
) -> None:
    where = "$(python -c 'import greeting; print(greeting.__file__)')"
    poison = f"echo \"TEXT = 'hell'\" > {where} && pytest -q"
    edit = call("replace", path="src/shop/__init__.py", old="'?'", new="'o!'")
    script = Script(coder=[call("shell", command=poison), edit, call("hand_in", summary="done")])
    graph, source = scripted_graph(script), shop(repo)
    config = {"configurable": {"thread_id": "environment-first"}}
    state = await graph.ainvoke({"source": str(source), "max_attempts": 1}, config)
    made = state["environment"]
    assert (made["status"], made["detail"], made["known"]) == ("ready", "", False)
    assert (state["baseline"]["collected"], state["baseline"]["failing"]) == (2, [FAILING])
    assert state["report"]["status"] == "unsolved"
    assert state["verdict"]["still_failing"] == [FAILING]
    assert all(known for _, known in index.asked)

    text, found, files = await in_layer(settings, made["layer"])
    assert (text, found.pop("password")) == ("hello", "absent")
    refused = [*found.pop("outside"), *found.values()]
    assert [result for result in refused if not result.startswith("refused")] == []
    assert files == ["/home/user/.sentient", ENVIRONMENT]

    fetched = index.fetched
    again = (await prepared(graph, source, "environment-again"))["environment"]
    assert (again["status"], again["layer"], again["known"]) == ("ready", made["layer"], True)
    assert again["seconds"] < 1
    changed = (await prepared(graph, shop(repo, mark="."), "environment-changed"))["environment"]
    assert (changed["status"], changed["known"]) == ("ready", False)
    assert changed["layer"] != made["layer"]
    await delete_snapshot(Connection(settings), changed["layer"])
    remade = (await prepared(graph, source, "environment-remade"))["environment"]
    assert (remade["status"], remade["known"]) == ("ready", False)
    assert index.fetched == fetched


@pytest.mark.long
@pytest.mark.timeout(400)  # many desktops, on a machine that may be busy
async def test_environment_that_cannot_be_had_as_a_whole_is_said_and_the_run_goes_on(
    engine_graph: Any, settings: Settings, repo: Repo
) -> None:
    manifests = {
        "requirements.txt": "greeting\n",
        "requirements-dev.txt": "absent-thing\n",
        "package.json": '{"dependencies": {"left": "1"}, "scripts": {"postinstall": "exit 1"}}',
    }
    source = repo({**CALCULATOR, **manifests})
    state = await prepared(engine_graph, source, "environment-absent")
    assert state["environment"]["status"] == "partial"
    assert "absent-thing was not found" in state["environment"]["detail"]
    assert state["base"]["files"] == 5
    async with await Desktop.create(
        template=state["environment"]["layer"],
        lifecycle="ephemeral",
        connection=Connection(settings),
    ) as desktop:
        python = f"{ENVIRONMENT}/bin/python -c 'import greeting; print(greeting.TEXT)'"
        node = "node -p \"require('left')\""
        done = await desktop.exec(f"mkdir -p repo/src && cd repo/src && {python} && {node}")
    assert done.stdout.splitlines() == ["hello", "right"], done
    state = await prepared(engine_graph, source, "environment-command", install="exit 3")
    assert (state["environment"]["status"], state["environment"]["layer"]) == ("failed", "")
    assert state["environment"]["detail"] == "exit code 3"
