"""Runs a repository's pytest suite inside the desktop and survives what tests do to it.

    python run_tests.py '{"repo": …, "out": …, "args": […], "suite_timeout_s": …,
                          "test_timeout_s": …, "masked": …, "canary": …, "alone": …}'

Each pytest process gets a session of its own and reports through a pipe. When it dies or hangs in
a test, that test is recorded as crashed or timed out and the suite is run again without it.
Progress goes to stdout, one JSON object a line; the last line is {"result": …}. pytest's own
(bounded) output goes to `<out>/pytest.log`. With `alone` every other process of the desktop is
killed before the result is given.
"""

import contextlib
import ctypes
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

LINE_LIMIT = 64 << 20
"""Bytes of one line of a report; a longer one ends the reading of that report."""

RESTARTS = 5
"""Tests that may take their pytest process down before the run is given up."""

GRACE_S = 5
"""Seconds beyond the time limit of a test until its process is killed from outside."""

PR_SET_DUMPABLE = 4


class Run:
    """One pytest process: started, watched, read."""

    def __init__(self, options, excluded, deadline, plain_config):
        self.options, self.deadline = options, deadline
        self.collected, self.tests, self.errors = [], {}, []
        self.running, self.since, self.exit_status, self.killed = None, time.monotonic(), None, ""
        report, self.pipe = os.pipe()
        self.process = subprocess.Popen(
            self.command(excluded, plain_config),
            cwd=options["repo"],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(self.pipe,),
        )
        os.close(self.pipe)
        self.readers = [
            threading.Thread(target=self.keep_output, daemon=True),
            threading.Thread(target=self.read_report, args=(report,), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def command(self, excluded, plain_config):
        arguments = ["--color=no", "-q", "-o", f"cache_dir={self.options['out']}/cache"]
        if plain_config:
            arguments += ["-o", "addopts="]
        if importlib.util.find_spec("pytest_timeout"):
            limit = f"--timeout={self.options['test_timeout_s']}"
            arguments += [limit, "--timeout-method=signal"]
        arguments += [f"--deselect={test}" for test in excluded]
        main = Path(__file__).with_name("pytest_main.py")
        arguments = json.dumps(arguments + self.options["args"])
        return [sys.executable, "-s", "-P", str(main), arguments]

    def environment(self):
        inherited = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        return {
            **inherited,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "SENTIENT_REPORT": str(self.pipe),
            "SENTIENT_MASK": "1" if self.options.get("masked") else "",
            "SENTIENT_CANARY": self.options.get("canary", ""),
        }

    def keep_output(self):
        room = LOG_LIMIT
        with Path(self.options["out"], "pytest.log").open("wb") as log:
            while chunk := self.process.stdout.read1(1 << 16):
                log.write(chunk[:room])
                room = max(0, room - len(chunk))

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
            elif self.running and now - self.since > limit:
                self.kill("test")
            else:
                time.sleep(0.02)
        for reader in self.readers:
            reader.join(2)

    def kill(self, why):
        self.killed = why
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

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
            tests = list(run.tests.values())
            failed = sum(test["outcome"] in ("failed", "error") for test in tests)
            line = {"total": len(run.collected), "done": len(tests), "failed": failed}
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
    """What the last line holds."""
    return {
        "exit_status": run.process.returncode if run.exit_status is None else run.exit_status,
        "collected": list(dict.fromkeys([*run.collected, *lost])),
        "tests": list({**run.tests, **lost}.values()),
        "errors": run.errors,
        "finished": run.exit_status is not None,
        "timed_out": run.killed == "suite",
        "seconds": round(seconds, 3),
    }


def kill_others():
    """Kill every process but pid 1, this one and its ancestors, until none is left."""
    mine, pid = {1}, os.getpid()
    while pid > 1:
        mine.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    for _ in range(100):
        others = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        others = [other for other in others if other not in mine and not is_zombie(other)]
        if not others:
            return
        for other in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(other, signal.SIGKILL)
        time.sleep(0.01)


def is_zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def main():
    # Closes this process's memory and descriptors to the tests, which run as the same user.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    options = json.loads(sys.argv[1])
    Path(options["out"]).mkdir(parents=True, exist_ok=True)
    result = run_suite(options)
    if options.get("alone"):
        kill_others()
    print(json.dumps({"result": result}), flush=True)


if __name__ == "__main__":
    main()
