"""kill -9 of a run at named points and at random instants, and two resumes of one thread at once.

    make crash SEED=7 N=1000 PAIRS=500

Each thread that was killed is resumed until it ends, and must come out exactly as the run that
nothing disturbed: the same patch, report, conversation and test results, each effect of a tool call
once, nothing left behind. `tests/support/killing` does it; docs/durability.md says how to read it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from killing.scenarios import PACKAGES, SCRIPT, package
from package_index import package_index, wheel
from postgres import postgres_server
from samples import ROOT
from scripted_model import Script, scripted_model

from sentient_desktop import stop_server

SEED = int(os.environ.get("SEED") or 7)
LONG_THREADS = int(os.environ.get("N") or 1000)
LONG_BOTH = int(os.environ.get("BOTH") or 200)
LONG_PAIRS = int(os.environ.get("PAIRS") or 500)
LONG_OTHERS = int(os.environ.get("OTHERS") or 40)
WORKERS = 2

EVERY_NODE = {
    "start", "prepare", "planner", "approval", "coder", "act", "tester", "reviewer", "deliver"
}  # fmt: skip

REGRESSIONS = ["coder.saving.put.before#2", "act.saving.writes.after#1"]
"""Places (`node.stage.point#n`) at which a kill once had consequences."""

ALONG = [
    "planner.working.mark.after#1", "tester.working.mark.after#1", "deliver.working.entered#1",
]  # fmt: skip
"""A place in other nodes that work."""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory, _own_configuration: None) -> Iterator[Any]:
    """Runs `python -m killing` with options; stops the servers of workers that were cut short."""
    folder = tmp_path_factory.mktemp("crash")

    def run(name: str, *options: str) -> dict[str, Any]:
        place = folder / name
        place.mkdir()
        command = [sys.executable, "-m", "killing", "--folder", str(place), "--model-url", url]
        command += ["--workers", str(WORKERS), "--seed", str(SEED), *options]
        env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests/support"}
        done = subprocess.run(
            command, env=env, stdout=subprocess.PIPE, text=True, check=False, cwd=place
        )
        assert done.returncode == 0, done.stdout
        summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        sys.stdout.write(described(summary))
        return summary

    with scripted_model(Script(coder=SCRIPT)) as url:
        yield run
    for home in folder.glob("*/worker-*/home"):
        stop_server(home / "desktop")


def described(summary: dict[str, Any]) -> str:
    """What a campaign came to, for people."""
    tried = summary["kills"] or summary["threads"] or summary["pairs"]
    lines = [
        *(json.dumps(failure) for failure in summary["failures"]),
        f"seed {SEED}: {summary['threads']} threads, {summary['kills']} kills"
        f" ({summary['after_effect']} after the first effect), {summary['missed']} came too late,"
        f" {summary['fresh']} threads through fresh interpreters",
        f"{summary['server_kills']} kills of the server, {summary['both']} of it and its run",
        f"{summary['seconds']:.0f} s on {os.cpu_count()} cores, a run takes"
        f" {summary['run_s']:.2f} s: {60 * summary['kills'] / summary['seconds']:.0f} kills/min",
        *(f"{count:6d}  {phase}" for phase, count in sorted(summary["phases"].items())),
        f"{len(summary['points'])} different points",
        f"{summary['pairs']} pairs of resumes: {summary['pair_kinds']}",
        f"{len(summary['failures'])} failures"
        " (none in n bounds the rate by 3/n:"
        f" {3 / max(1, tried):.2%} each, at 95 %)",
    ]
    return "\n".join(lines)


@pytest.mark.timeout(400)
def test_runs_killed_all_along_end_as_if_undisturbed(campaign: Any) -> None:
    along = ",".join([*ALONG[:1], *REGRESSIONS, *ALONG[1:]])
    summary = campaign("short", "--workers", "1", "--pairs", "1", "--place", along)
    assert summary["failures"] == []
    named = {place.partition("#")[0]: 1 for place in [*REGRESSIONS, *ALONG]}
    assert summary["points"] == named
    assert summary["after_effect"] >= 0.4 * summary["kills"]
    assert summary["pairs"] == 1


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.skipif(not LONG_THREADS, reason="N=0")
def test_a_thousand_killed_runs_end_as_if_undisturbed(campaign: Any) -> None:
    summary = campaign("long", "--threads", str(LONG_THREADS))
    assert summary["failures"] == []
    assert summary["threads"] == LONG_THREADS
    assert summary["kills"] >= LONG_THREADS
    assert summary["after_effect"] >= 0.6 * summary["kills"]
    assert {phase.split(".")[0] for phase in summary["phases"]} == EVERY_NODE
    assert min(summary["phases"].values()) >= 0.03 * min(LONG_THREADS, 1000)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.skipif(not LONG_BOTH, reason="BOTH=0")
def test_runs_killed_with_their_server_three_deep_end_as_if_undisturbed(campaign: Any) -> None:
    summary = campaign("both", "--both", "--threads", str(LONG_BOTH))
    assert summary["failures"] == []
    assert summary["threads"] == LONG_BOTH
    assert summary["both"] >= LONG_BOTH


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.skipif(not LONG_PAIRS, reason="PAIRS=0")
def test_five_hundred_pairs_of_resumes_have_one_winner_each(campaign: Any) -> None:
    summary = campaign("pairs", "--pairs", str(LONG_PAIRS))
    assert summary["failures"] == []
    assert summary["pairs"] == LONG_PAIRS
    assert len(summary["pair_kinds"]) >= 5


@pytest.fixture(scope="module")
def package_settings() -> Iterator[dict[str, Any]]:
    """Settings under which what tests need comes from an index of this test alone."""
    wheels = [wheel(name, "1.0", files) for name, files in map(package, range(PACKAGES))]
    with package_index(*wheels) as index:
        yield {
            "install": True, "index_url": index.url_with_password, "netrc": "/dev/null",
            "pip_config_file": "/dev/null", "uv_no_config": True, "npm_config_file": "/dev/null",
            "npm_registry": index.url_with_password,
        }  # fmt: skip


OTHERS = {
    "engine": ["--scenario", "engine"],
    "asked": ["--scenario", "asked", "--within", "approval"],
    "asked-both": ["--scenario", "asked", "--within", "approval", "--both"],
    "installs": ["--scenario", "installs", "--within", "prepare.working"],
    "installs-server": ["--scenario", "installs", "--within", "prepare.working", "--servers"],
    "installs-both": ["--scenario", "installs", "--within", "prepare.working", "--both"],
}
"""Campaigns of other kinds than a model's run on SQLite, a kind a test."""


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.skipif(not LONG_OTHERS, reason="OTHERS=0")
@pytest.mark.parametrize("kind", OTHERS)
def test_runs_of_other_kinds_killed_end_as_if_undisturbed(
    campaign: Any, package_settings: dict[str, Any], kind: str
) -> None:
    settings = json.dumps(package_settings if "installs" in kind else {})
    given = ["--threads", str(LONG_OTHERS), "--settings", settings]
    summary = campaign(kind, *OTHERS[kind], *given)
    assert summary["failures"] == []
    assert summary["threads"] == LONG_OTHERS
    hits = summary["server_kills"] if "server" in kind else summary["kills"]
    assert hits >= 0.8 * LONG_OTHERS


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.skipif(not LONG_OTHERS, reason="OTHERS=0")
def test_runs_on_postgres_killed_end_as_if_undisturbed(campaign: Any) -> None:
    with postgres_server() as server:
        for worker in range(WORKERS):
            server.make_database(f"worker_{worker}")
        settings = json.dumps({"checkpoints": server.url("worker_{worker}")})
        summary = campaign("postgres", "--threads", str(LONG_OTHERS), "--settings", settings)
    assert summary["failures"] == []
    assert summary["kills"] >= LONG_OTHERS
