"""The command lines of the runners, and what each is told on its standard input."""

import importlib.util
import os
import sys
from pathlib import Path
from site import getsitepackages

PROGRAMS = Path(__file__).parent

ENVIRONMENT = PROGRAMS.parent / "env"
"""What was installed for the tests. The program that runs them does without it."""


def command(options, pipe):
    """The words of the process that runs the tests."""
    runner = options["runner"]
    if runner == "node":
        return node(options, pipe)
    if runner in ("vitest", "jest"):
        return ["node", *options["paths"], str(PROGRAMS / f"{runner}_main.mjs")]
    main = f"{runner}_main.py"
    if not ENVIRONMENT.is_dir():
        return [sys.executable, "-s", "-P", str(PROGRAMS / main)]
    # Without site: a package that is installed in place would be on the path from the start.
    packages = [*map(str, ENVIRONMENT.glob("lib/python*/site-packages")), *getsitepackages()]
    return [f"{ENVIRONMENT}/bin/python", "-s", "-P", "-S", str(PROGRAMS / main), *packages]


def environment(options):
    """What the tests' process gets; node's guard takes its part away before any test is loaded."""
    found = {"SENTIENT_CANARY": options["canary"]} if options["runner"] == "node" else {}
    return {**found, "PATH": f"{ENVIRONMENT}/bin:{os.environ['PATH']}"}


def told(options, excluded, plain_config, pipe):
    """What the tests' process reads before anything else; nothing of it is seen from outside."""
    arguments = options["args"]
    if options["runner"] == "pytest":
        arguments = [*pytest_options(options, excluded, plain_config), *arguments]
    return {
        "pipe": pipe,
        "arguments": arguments,
        "masked": bool(options.get("masked")),
        "canary": options.get("canary", ""),
        "only": options.get("only", []),
        "excluded": list(excluded),
        "lines": options.get("lines", {}),
        "functions": bool(options.get("functions")),
        "test_timeout_s": float(options["test_timeout_s"]),
    }


def pytest_options(options, excluded, plain_config):
    # names of tests, which are cached, may hold secrets
    secret = os.environ.get("SENTIENT_SECRETS")
    cache = ["-p", "no:cacheprovider"] if secret else ["-o", f"cache_dir={options['out']}/cache"]
    arguments = ["--color=no", "-q", *cache]
    if plain_config:
        arguments += ["-o", "addopts="]
    if importlib.util.find_spec("pytest_timeout"):
        limit = f"--timeout={options['test_timeout_s']}"
        arguments += [limit, "--timeout-method=signal"]
    return arguments + [f"--deselect={test}" for test in excluded]


def node(options, pipe):
    """One file at a time, so that the test which a time limit ends is known."""
    paths = options["paths"]
    if options.get("only"):
        files = list(dict.fromkeys(test.split("::")[0] for test in options["only"]))
        paths = [file for file in files if Path(options["repo"], file).exists()] or files
    return [
        "node",
        f"--import={(PROGRAMS / 'node_guard.mjs').as_uri()}",
        "--test",
        "--test-concurrency=1",
        f"--test-reporter={(PROGRAMS / 'node_report.mjs').as_uri()}",
        f"--test-reporter-destination=/proc/self/fd/{pipe}",
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        *options["args"],
        *paths,
    ]
