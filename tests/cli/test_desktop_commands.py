"""`sentient desktop …` on one desktop: show, exec, pause, resume, kill."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2b import Sandbox
from samples import Run

from sentient_desktop import ensure_server


@pytest.fixture
def desktop_id(home: Path) -> Iterator[str]:
    server = ensure_server(home / "desktop")
    options = {"api_key": server.api_key, "api_url": server.url, "sandbox_url": server.url}
    made = Sandbox.create("base", metadata={"task": "x"}, **options)
    yield made.sandbox_id
    made.kill()


def test_show_and_list_name_the_desktop(sentient: Run, desktop_id: str) -> None:
    shown = json.loads(sentient("desktop", "show", desktop_id, "--json").stdout)
    assert (shown["id"], shown["state"], shown["metadata"]) == (
        desktop_id,
        "running",
        {"task": "x"},
    )
    assert f"id        {desktop_id}\n" in sentient("desktop", "show", desktop_id).stdout
    assert desktop_id in json.loads(sentient("desktop", "list", "--json").stdout)


def test_exec_passes_output_and_exit_code_on(sentient: Run, desktop_id: str) -> None:
    done = sentient("desktop", "exec", desktop_id, "sh", "-c", "echo out; echo err >&2; exit 9")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 9)
    assert sentient("desktop", "exec", desktop_id, "echo", "a  b", "$HOME").stdout == "a  b $HOME\n"


def test_exec_past_its_timeout_ends_with_124(sentient: Run, desktop_id: str) -> None:
    done = sentient("desktop", "exec", "--timeout", "1", desktop_id, "sleep", "60")
    assert (done.returncode, done.stderr) == (124, "no end after 1 s: killed\n")


def test_pause_resume_and_kill_say_what_they_did_by_exit_code(
    sentient: Run, desktop_id: str
) -> None:
    assert sentient("desktop", "pause", desktop_id).returncode == 0
    again = sentient("desktop", "pause", desktop_id)
    assert (again.returncode, again.stderr) == (
        2,
        f"sentient: desktop {desktop_id} is paused already\n",
    )
    assert "paused" in sentient("desktop", "show", desktop_id).stdout
    assert sentient("desktop", "resume", desktop_id).returncode == 0
    assert "running" in sentient("desktop", "show", desktop_id).stdout
    assert sentient("desktop", "kill", desktop_id).returncode == 0
    assert sentient("desktop", "kill", desktop_id).returncode == 2


@pytest.mark.parametrize("call", ["show", "pause", "resume", "kill"])
@pytest.mark.parametrize("given", ["../x", "i0000", "ü"])
def test_unknown_desktop_is_one_clear_line(sentient: Run, call: str, given: str) -> None:
    done = sentient("desktop", call, given)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("sentient: ")
    assert given in done.stderr
