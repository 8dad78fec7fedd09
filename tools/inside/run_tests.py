"""Runs a repository's tests inside the desktop and survives what tests do to it.

    python run_tests.py OPTIONS_FILE

The file is JSON: repo, out (a folder of its own), runner, args, paths, only, suite_timeout_s,
test_timeout_s, masked, canary, alone, and for Python lines (by path, to be traced) or functions
(whether all are). It is removed before any test runs.

Each test process gets a session of its own and reports through a pipe. When it dies or hangs in a
test, that test is recorded as crashed or timed out and the suite is run again without it; node,
vitest and jest give each file a process, of which the same is said, and go on by themselves.
Progress goes to stdout, one JSON object a line; the last line is {"result": …}. With `alone` every
other process of the desktop is killed before the result is given.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import runner_commands

LOG_LIMIT = 20_000
"""Bytes of the runner's own output that are kept, of its beginning and again of its end."""

LINE_LIMIT = 64 << 20
"""Bytes of one line of a report; a longer one ends the reading of that report."""

RESTARTS = 5
"""Tests that may take their process down before the run is given up."""

GRACE_S = 5
"""Seconds beyond the time limit of a test until its process is killed from outside."""

FAILED = ("failed", "error", "timeout", "crashed")

PR_SET_DUMPABLE = 4


class Run:
    """One process of the runner: started, watched, read."""

    def __init__(self, options, excluded, deadline, plain_config):
        self.options, self.deadline = options, deadline
        self.collected, self.tests, self.errors = [], {}, []
        self.running, self.since, self.exit_status, self.killed = None, time.monotonic(), None, ""
        self.overdue, self.log, self.configuration = set(), b"", []
        self.reach, self.executed = None, None
        report, pipe = os.pipe()
        self.process = subprocess.Popen(
            runner_commands.command(options, pipe),
            cwd=options["repo"],
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(pipe,),
        )
        os.close(pipe)
        told = runner_commands.told(options, excluded, plain_config, pipe)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(told).encode())
            self.process.stdin.close()
        self.readers = [
            threading.Thread(target=self.keep_output, daemon=True),
            threading.Thread(target=self.read_report, args=(report,), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def environment(self):
        unwanted = ("PYTHONPATH", "NODE_OPTIONS", "NODE_PATH")
        inherited = {name: text for name, text in os.environ.items() if name not in unwanted}
        fixed = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
        return {**inherited, **fixed, **runner_commands.environment(self.options)}

    def keep_output(self):
        while chunk := self.process.stdout.read1(1 << 16):
            kept = self.log + chunk
            self.log = kept if len(kept) <= 2 * LOG_LIMIT else kept[:LOG_LIMIT] + kept[-LOG_LIMIT:]

    def read_report(self, fd):
        """Take the lines of the report up to its end; what comes after it is not ours."""
        with os.fdopen(fd, "rb") as lines:
            while line := lines.readline(LINE_LIMIT):
                if self.exit_status is None and line.endswith(b"\n"):
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        self.take(json.loads(line))

    def watch(self):
        """Wait until the process ends; kill it at a time limit."""
        while self.process.poll() is None:
            now = time.monotonic()
            limit = float(self.options["test_timeout_s"]) + GRACE_S
            if now > self.deadline:
                self.kill("suite")
            elif not (self.running and now - self.since > limit):
                time.sleep(0.02)
            elif self.goes_on:
                self.overdue.add(self.running)
                self.kill_children()
            else:
                self.kill("test")
        for reader in self.readers:
            reader.join(2)

    @property
    def goes_on(self):
        """Whether the runner outlives what it runs: each file has a process of its own."""
        return self.options["runner"] in ("node", "vitest", "jest")

    def kill(self, why):
        self.killed = why
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_children(self):
        """Kill the processes of files; the runner notes it and goes on with the next one.

        Other programs that it started, such as a compiler, are left to it.
        """
        self.since, program = time.monotonic(), program_of(self.process.pid)
        for pid in processes():
            if parent_of(pid) == self.process.pid and program_of(pid) == program:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def take(self, line):
        if "collected" in line:
            self.collected = line["collected"]
        elif "error" in line:
            self.errors.append(line["error"])
        elif "reach" in line:
            self.reach = line["reach"]
        elif "executed" in line:
            self.executed = line["executed"]
        elif "configuration" in line:
            self.configuration += line["configuration"]
        elif "start" in line:
            self.running, self.since = line["start"], time.monotonic()
        elif "test" in line:
            self.running = None
            self.keep(line["test"])
        elif "finish" in line:
            self.exit_status = line["finish"]

    def keep(self, test):
        """Of what is said of a test the worst counts, whenever it is said."""
        if test["id"] in self.overdue:
            limit = f"no end after {float(self.options['test_timeout_s']):g} s"
            test = {**test, "outcome": "timeout", "message": limit}
        known = self.tests.get(test["id"])
        if known is None or known["outcome"] not in FAILED:
            self.tests[test["id"]] = test


class Progress:
    """Says how far a run is, at most five times a second, and which tests ended (50 each time)."""

    def __init__(self, canary):
        self.last, self.canary, self.told = 0.0, canary or "\0", set()

    def show(self, run, last=False):
        if last or time.monotonic() - self.last > 0.2:
            self.last = time.monotonic()
            tests = [test for test in run.tests.values() if self.canary not in test["id"]]
            total = sum(self.canary not in test for test in run.collected)
            failed = sum(test["outcome"] in ("failed", "error") for test in tests)
            line = {"total": total, "done": len(tests), "failed": failed}
            new = [test for test in tests if test["id"] not in self.told][:50]
            self.told.update(test["id"] for test in new)
            line["ended"] = [[test["id"], test["outcome"], test["seconds"]] for test in new]
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
    progress, lost, plain_config = Progress(options.get("canary")), {}, False
    while True:
        run = Run(options, lost, deadline, plain_config)
        watcher = threading.Thread(target=run.watch)
        watcher.start()
        while watcher.is_alive():
            watcher.join(0.2)
            progress.show(run)
        progress.show(run, last=True)
        casualty = lost_test(run)
        if casualty:
            lost[casualty["id"]] = casualty
        refused = run.exit_status in (4, None) and not run.collected and not run.errors
        if refused and not run.killed and not plain_config and options["runner"] == "pytest":
            plain_config = True  # the project's addopts may want plugins that are not here
        elif not casualty or run.goes_on or run.killed == "suite" or len(lost) > RESTARTS:
            return result_of(run, lost, time.monotonic() - started)


def result_of(run, lost, seconds):
    """What the last line holds."""
    return {
        "exit_status": run.process.returncode if run.exit_status is None else run.exit_status,
        "collected": list(dict.fromkeys([*run.collected, *lost])),
        "tests": list({**run.tests, **lost}.values()),
        "errors": run.errors,
        "reach": run.reach,
        "executed": run.executed,
        "configuration": sorted(set(run.configuration)),
        "finished": run.exit_status is not None,
        "timed_out": run.killed == "suite",
        "seconds": round(seconds, 3),
        "log": run.log.decode("utf-8", "replace"),
    }


def kill_others():
    """Kill every process but pid 1, this one and its ancestors, until none is left."""
    mine, pid = {1}, os.getpid()
    while pid > 1:
        mine.add(pid)
        pid = parent_of(pid)
    for _ in range(100):
        others = [other for other in processes() if other not in mine and parent_of(other)]
        if not others:
            return
        for other in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(other, signal.SIGKILL)
        time.sleep(0.01)


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parent_of(pid):
    """The parent of a process; 0 for one that has ended."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state in "ZX" else int(parent)


def program_of(pid):
    """The file of the program that a process runs; empty for one that has ended."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def main():
    # Closes this process's memory and descriptors to the tests, which run as the same user.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    options = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[1]).unlink()
    shutil.rmtree(options["out"], ignore_errors=True)
    Path(options["out"]).mkdir(parents=True)
    program = runner_commands.command(options, 0)[0]
    if shutil.which(program) is None:
        log = f"Error: there is no {program} in this desktop"
        print(json.dumps({"result": {"exit_status": 127, "log": log}}), flush=True)
        return
    result = run_suite(options)
    if options.get("alone"):
        kill_others()
    print(json.dumps({"result": result}), flush=True)


if __name__ == "__main__":
    main()
