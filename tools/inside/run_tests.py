"""Runs a repository's pytest suite inside the desktop and survives what tests do to it.

    python run_tests.py '{"repo": …, "out": …, "args": […], "suite_timeout_s": …,
                          "test_timeout_s": …, "masked": …}'

Each pytest process gets a session of its own. When it dies or hangs in a test, that test is
recorded as crashed or timed out and the suite is run again without it. Progress goes to stdout,
one JSON object a line; the whole result to `<out>/results.json`, pytest's own (bounded) output
to `<out>/pytest.log`.
"""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

LOG_LIMIT = 1 << 20
"""Bytes of pytest's output that are kept; the rest is read and dropped."""

RESTARTS = 5
"""Tests that may take their pytest process down before the run is given up."""

GRACE_S = 5
"""Seconds beyond the time limit of a test until its process is killed from outside."""


class Run:
    """One pytest process: started, watched, read."""

    def __init__(self, options, excluded, deadline, plain_config):
        self.options, self.deadline = options, deadline
        self.report = Path(options["out"], "report.jsonl")
        self.report.unlink(missing_ok=True)
        self.collected, self.tests, self.errors = [], {}, []
        self.running, self.since, self.exit_status, self.killed = None, time.monotonic(), None, ""
        self.offset = 0
        self.process = subprocess.Popen(
            self.command(excluded, plain_config),
            cwd=options["repo"],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.keep_output, daemon=True)
        self.reader.start()

    def command(self, excluded, plain_config):
        command = [sys.executable, "-m", "pytest", "-p", "sentient_report", "--color=no", "-q"]
        command += ["-o", f"cache_dir={self.options['out']}/cache"]
        if plain_config:
            command += ["-o", "addopts="]
        if importlib.util.find_spec("pytest_timeout"):
            command += [f"--timeout={self.options['test_timeout_s']}", "--timeout-method=signal"]
        return command + [f"--deselect={test}" for test in excluded] + self.options["args"]

    def environment(self):
        repo = Path(self.options["repo"])
        paths = [str(Path(__file__).parent), *(str(p) for p in (repo / "src", repo) if p.is_dir())]
        extra = {
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "SENTIENT_REPORT": str(self.report),
            "SENTIENT_MASK": "1" if self.options.get("masked") else "",
        }
        return {**os.environ, **extra}

    def keep_output(self):
        room = LOG_LIMIT
        with Path(self.options["out"], "pytest.log").open("wb") as log:
            while chunk := self.process.stdout.read1(1 << 16):
                log.write(chunk[:room])
                room = max(0, room - len(chunk))

    def watch(self):
        """Follow the report until the process ends; kill it at a time limit."""
        while self.process.poll() is None:
            self.read_report()
            now = time.monotonic()
            limit = float(self.options["test_timeout_s"]) + GRACE_S
            if now > self.deadline:
                self.kill("suite")
            elif self.running and now - self.since > limit:
                self.kill("test")
            else:
                time.sleep(0.05)
        self.reader.join(2)
        self.read_report()

    def kill(self, why):
        self.killed = why
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def read_report(self):
        if not self.report.exists():
            return
        with self.report.open("rb") as lines:
            lines.seek(self.offset)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self.offset += len(line)
                self.take(json.loads(line))

    def take(self, line):
        if "collected" in line:
            self.collected = line["collected"]
        elif "error" in line:
            self.errors.append(line["error"])
        elif "start" in line:
            self.running, self.since = line["start"], time.monotonic()
        elif "test" in line:
            self.running = None
            self.tests[line["test"]["id"]] = line["test"]
        elif "finish" in line:
            self.exit_status = line["finish"]


class Progress:
    """Says how far a run is, at most five times a second."""

    def __init__(self):
        self.last = 0.0

    def show(self, run):
        if time.monotonic() - self.last > 0.2:
            self.last = time.monotonic()
            failed = sum(t["outcome"] in ("failed", "error") for t in run.tests.values())
            line = {"total": len(run.collected), "done": len(run.tests), "failed": failed}
            print(json.dumps(line), flush=True)


def lost_test(run):
    """The record of the test in which the process died or was killed, or None."""
    if run.running is None or run.exit_status is not None:
        return None
    limit = run.options["test_timeout_s"]
    if run.killed:
        outcome, message = "timeout", f"no end after {limit:g} s"
    else:
        outcome, message = "crashed", f"the test process died (exit code {run.process.returncode})"
    return {
        "id": run.running,
        "outcome": outcome,
        "seconds": round(time.monotonic() - run.since, 3),
        "message": message,
    }


def run_suite(options):
    """Run until a pytest process ends by itself; return the merged result."""
    started = time.monotonic()
    deadline = started + float(options["suite_timeout_s"])
    progress, lost, plain_config = Progress(), {}, False
    while True:
        run = Run(options, lost, deadline, plain_config)
        watcher = threading.Thread(target=run.watch)
        watcher.start()
        while watcher.is_alive():
            watcher.join(0.2)
            progress.show(run)
        casualty = lost_test(run)
        if casualty:
            lost[casualty["id"]] = casualty
        refused = run.exit_status in (4, None) and not run.collected and not run.errors
        if refused and not run.killed and not plain_config:
            plain_config = True  # the project's addopts may want plugins that are not here
        elif not casualty or run.killed == "suite" or len(lost) > RESTARTS:
            return result_of(run, lost, time.monotonic() - started)


def result_of(run, lost, seconds):
    """What results.json holds."""
    collected = list(dict.fromkeys([*run.collected, *lost]))
    return {
        "exit_status": run.process.returncode if run.exit_status is None else run.exit_status,
        "collected": collected,
        "tests": list({**run.tests, **lost}.values()),
        "errors": run.errors,
        "finished": run.exit_status is not None,
        "timed_out": run.killed == "suite",
        "seconds": round(seconds, 3),
    }


def main():
    options = json.loads(sys.argv[1])
    out = Path(options["out"])
    out.mkdir(parents=True, exist_ok=True)
    result = run_suite(options)
    scratch = out / "results.json.new"
    scratch.write_text(json.dumps(result))
    scratch.replace(out / "results.json")


if __name__ == "__main__":
    main()
