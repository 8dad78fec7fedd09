"""The coder's own run of the tests: per test, on the files as they are; no verdict."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from tools.errors import NoResultError, ToolError
from tools.journal import Journal, digest_of
from tools.layout import CONTROL, PROGRAMS, install_programs
from tools.results import TestRun
from tools.runners import Runner
from tools.shell import ENVIRONMENT
from tools.suite import Reader, narrowed, options_of

FAILURES, MESSAGE = 10, 600
"""Failing tests that are told with their messages, and characters of each."""

NAMES = 40
"""Further failing tests that are named."""

FILES = (
    "{ git --no-optional-locks diff --no-ext-diff HEAD;"
    " git ls-files -oz --exclude-standard | xargs -0r sha1sum; } 2>&1 | sha1sum"
)
"""Prints a hash of what differs from the base."""


@dataclass(frozen=True)
class Suite:
    """A thread's tests, as its coder may run them."""

    runner: Runner
    suite_timeout_s: float = 600
    test_timeout_s: float = 30


async def check(journal: Journal, suite: Suite, tests: Sequence[str], call: str) -> tuple[str, str]:
    """Run all tests, or some by their ids, under the name `call`, once.

    Returns what came of it in words, and a name for the files and failures together: the same
    when both are the same.
    """
    await install_programs(journal.desktop)
    options = options_of(
        suite.runner,
        suite_timeout_s=suite.suite_timeout_s,
        test_timeout_s=suite.test_timeout_s,
        only=tests,
    )
    given = f"{CONTROL}/check.json"
    command = (
        f"printf %s {shlex.quote(json.dumps(options))} > {given}\n"
        f'files="$({FILES})"\n'
        f"python {PROGRAMS}/run_tests.py {given}\n"
        """printf '{"files": "%s"}\\n' "${files:0:16}"\n"""
    )
    told: dict[str, object] = {}
    reader = Reader(told.update)
    limit = suite.suite_timeout_s + 60
    ended = await journal.run(call, command, timeout_s=limit, env=ENVIRONMENT, on_output=reader)
    try:
        run = narrowed(reader.run(why=f"exit code {ended.code}"), tests)
    except NoResultError as error:
        raise ToolError(str(error)) from error
    return in_words(run, tests), digest_of([told.get("files"), sorted(run.failing)])


def in_words(run: TestRun, tests: Sequence[str] = ()) -> str:
    """A run as a coder is told of it: counts, then what failed and how, within bounds."""
    failing = run.failing
    counts = {
        "passed": len(run.ids("passed", "xfailed")),
        "failed": len(failing),
        "skipped": len(run.ids("skipped")),
    }
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "none ran"
    lines = [f"{said}, in {run.seconds:.1f} s"]
    if missing := sorted(set(tests) - {test.id for test in run.tests}):
        lines.append(f"not found: {', '.join(missing[:FAILURES])}")
    if run.timed_out:
        lines.append("the run was ended, its time was up")
    lines += [f"cannot be collected: {e.id}: {e.message[-MESSAGE:]}" for e in run.errors[:3]]
    for test in failing[:FAILURES]:
        lines.append(f"FAILED {test}\n{run.message(test)[-MESSAGE:]}".rstrip())
    rest = failing[FAILURES:]
    lines += [f"FAILED {test}" for test in rest[:NAMES]]
    if len(rest) > NAMES:
        lines.append(f"and {len(rest) - NAMES} more")
    if not run.tests and run.log.strip():
        lines.append(run.log.strip()[-MESSAGE:])
    return "\n".join(lines)
