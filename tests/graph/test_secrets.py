"""Canary secrets through a whole run: commands have them, nothing that is kept or told does."""

import base64
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from homes import own_home
from pydantic import SecretStr
from samples import CALCULATOR, Repo
from scripted_model import Script, call, scripted_model

from nodes.state import Input
from sentient.opening import config_of, open_graph
from sentient.reports import as_json
from sentient.runs import Runs
from tools.errors import UsageError
from tools.inside.redaction import Redactor
from tools.settings import Settings

CANARIES = {name: f"canary-{secrets.token_hex(12)}-{name[:3]}" for name in ("TOKEN", "API", "E2B")}
TOKEN, KEY = CANARIES["TOKEN"], CANARIES["API"]
AES = secrets.token_hex(16)

TESTS = """
import os
import pytest
from calc import mean

@pytest.mark.parametrize("token", [os.environ["TOKEN"]])
def test_mean(token):
    print("printed", token)
    assert mean([1, 2, 3]) == 2, f"message {token}"
"""
LOUD = (
    "echo $TOKEN; env | base64; printenv TOKEN | od -An -tx1; python -c 'import os;"
    'print(os.environ["TOKEN"][:9], end="", flush=True); import time; time.sleep(0.3);'
    'print(os.environ["TOKEN"][9:])\'; python -m pytest -q | tail -30'
)
GUEST = "/home/user/repo/"
GOOD = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")
LEAK = call("shell", command='echo "# $TOKEN" >> calc.py')
CLEAN = call("shell", command="sed -i '/^# canary/d' calc.py")
DONE = call("hand_in", summary=f"done, with {KEY}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of this module's own, so that every byte of it is this run's."""
    with own_home(tmp_path_factory, "canaries") as folder:
        yield folder


@pytest.mark.timeout(300)
async def test_secrets_reach_commands_and_no_artefact(home: Path, repo: Repo) -> None:
    source = repo({**CALCULATOR, "test_token.py": TESTS})
    script = Script(
        coder=[call("shell", command=LOUD), GOOD, LEAK, DONE, CLEAN, DONE],
        planner=f"Use {KEY}, or {base64.b64encode(TOKEN.encode()).decode()}.",
        storm=[{"status": 503, "headers": {"retry-after": "0"}, "message": f"busy, {KEY}"}],
    )
    with scripted_model(script) as url:
        bare = Settings(
            home=home, model="scripted", openai_base_url=url, openai_api_key=SecretStr(KEY),
            LANGGRAPH_AES_KEY=AES,
        )  # fmt: skip
        given = bare.model_copy(update={"secrets": {"TOKEN": SecretStr(TOKEN)}})
        told: list[Any] = []
        task: Input = {"source": str(source), "approve": True, "max_attempts": 2}
        asked = await Runs(given).start(task, "canary", told.append)
        assert asked.kind == "waiting"
        with pytest.raises(UsageError, match="give it again: --secret TOKEN") as refused:
            await Runs(bare).resume("canary", told.append, "approve")
        ending = await Runs(given).resume("canary", told.append, "approve")
    assert ending.state["report"]["status"] == "verified", ending.state["report"]
    [first, *_] = [m.text for m in ending.state["messages"] if m.type == "tool"]
    assert first.startswith("[secret:TOKEN]\n")
    assert "printed [secret:TOKEN]" in first
    objection = "the patch holds the value of secret TOKEN"
    assert any(objection in str(event) for event in told if event["event"] == "verdict")
    expect_clean(
        {
            "events": json.dumps(told),
            "error": str(refused.value),
            "prompts": json.dumps(script.requests),
            "json": json.dumps(
                as_json(ending, Runs(given).ledger.patch(ending.state["report"]["patch"]) or "")
            ),
            "checkpoints": await checkpoints(given),
        }
    )
    kept = {str(path): path.read_text("utf-8", "surrogateescape") for path in files(home)}
    # what commands write to the tree is the guest's own, and nobody's promise
    guests = [path for path in kept if GUEST in path]
    assert any(path.endswith("repo/calc.py") and TOKEN in kept.pop(path) for path in guests)
    expect_clean({path: text for path, text in kept.items() if path not in guests})
    assert any(path.endswith("/log") for path in kept)


async def checkpoints(settings: Settings) -> str:
    """Everything that the thread's checkpoints hold, decrypted, pending writes too."""
    async with open_graph(settings) as graph:
        saver: Any = graph.checkpointer
        return "\n".join([repr(item) async for item in saver.alist(config_of("canary"))])


def files(home: Path) -> Iterator[Path]:
    """The databases, and the desktop server's folder with every snapshot."""
    for folder, _, names in os.walk(home):
        yield from (
            path
            for name in names
            if (path := Path(folder, name)).is_file() and not path.is_symlink()
        )


def expect_clean(artefacts: dict[str, str]) -> None:
    """No canary in any common encoding in any of them, and they are not empty."""
    redactor = Redactor({**CANARIES, "AES": AES})
    held = {name: redactor.named(text) for name, text in artefacts.items()}
    assert not {name: found for name, found in held.items() if found}
    assert all(artefacts[name] for name in artefacts if not name.startswith("/"))


async def test_secret_in_the_task_is_refused_before_anything_is_kept(
    settings: Settings, repo: Repo
) -> None:
    given = settings.model_copy(update={"secrets": {"TOKEN": SecretStr(TOKEN)}})
    with pytest.raises(UsageError, match="holds the value of secret TOKEN"):
        await Runs(given).start({"source": str(repo()), "task": f"use {TOKEN}"}, "t", print)
    assert Runs(given).ledger.thread("t") is None
