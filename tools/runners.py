"""What runs a repository's tests, by the user's command: a runner of Python's or of Node's."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from tools.analysis.profile import Profile
from tools.errors import UsageError

RunnerName = Literal["pytest", "unittest", "node", "vitest", "jest"]

NODE_VALUES = frozenset(
    {
        "-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions",
        "--env-file", "--test-name-pattern", "--test-skip-pattern", "--test-coverage-include",
    }
)  # fmt: skip
"""Options of node whose value may be the next word."""

REFUSED: Mapping[RunnerName, tuple[str, ...]] = {
    "node": ("--watch", "--test-reporter", "--test-isolation", "--test-shard", "--test-only"),
    "vitest": ("-w", "-u", "--watch", "--update", "--reporter", "--shard", "--browser", "--ui"),
    "jest": ("-o", "-u", "--watch", "--update", "--reporters", "--shard", "--only", "--testRunner"),
}
"""Options that a verdict cannot be left to, by how they begin."""

SCRIPTS: Mapping[RunnerName, str] = {
    "node": "node --test", "vitest": "vitest run", "jest": "jest",
}  # fmt: skip
"""Node's runners by name, with what runs all that they find."""

ESM = "--experimental-vm-modules"
"""The option of node without which jest knows no ES modules."""

BEFORE = re.compile(r"npx|node|cross-env|(NODE_ENV|NODE_OPTIONS)=.*|" + ESM)
"""Words before the name of a package's runner that change nothing here, but for `ESM`."""

OTHER_COMMANDS = frozenset({"watch", "dev", "related", "bench", "list", "init", "typecheck"})
"""Commands of vitest that do not run its tests once."""

OPERATORS = frozenset({"&&", "||", "|", ";", "&", ">", "<"})
"""Words of a shell's, which none is there to read."""

SUPPORTED = "pytest, python -m unittest, node --test, vitest, jest"


@dataclass(frozen=True)
class Runner:
    """A runner with the user's arguments.

    `paths` are the files and patterns of `node --test`, and options of node for jest.
    """

    name: RunnerName = "pytest"
    args: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Variables for the tests, which may hold secrets: they are in no file."""

    @property
    def is_python(self) -> bool:
        """Whether the tests are Python, so that pytest can collect their files too."""
        return self.name not in SCRIPTS


def runner_of(command: str) -> Runner:
    """The runner in a test command of the user's; empty means pytest.

    Raises:
        UsageError: the command is none of `SUPPORTED`, or asks for what would make results worth
            less.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"cannot read --tests {command!r}: {error}") from error
    if not OPERATORS.isdisjoint(words):
        words = [command]
    match words:
        case [] | ["pytest", *_]:
            return Runner(args=tuple(words[1:]))
        case [python, "-m", "pytest", *args] if python.startswith("python"):
            return Runner(args=tuple(args))
        case [python, "-m", "unittest", *args] if python.startswith("python"):
            return Runner("unittest", args=tuple(args))
        case ["node", *args] if "--test" in args:
            return _checked(command, _node([word for word in args if word != "--test"]))
        case _ if found := _package(words):
            return _checked(command, found)
    raise UsageError(
        f"--tests {command!r} is not a command of a runner that is supported ({SUPPORTED})",
        hint="write: --tests 'pytest ARGUMENTS', 'node --test FILES', 'vitest run', or 'jest'",
    )


def detected_command(profile: Profile) -> str:
    """The test command of a repository whose user named none.

    Python's tests are pytest's, which runs unittest's too; Node's are those of the script `test`
    where that is a command for them. Empty where nothing speaks for another runner than pytest.
    """
    frameworks = profile.tests.frameworks
    found = [name for name, script in SCRIPTS.items() if name in frameworks or script in frameworks]
    if not found or any(name.startswith("pytest") for name in frameworks):
        return ""
    script = profile.commands.get("npm run test", "")
    try:
        named = script and not runner_of(script).is_python
    except UsageError:
        named = False
    return script if named else SCRIPTS[found[0]]


def _checked(command: str, runner: Runner) -> Runner:
    for word in runner.args:
        if word.startswith(REFUSED[runner.name]):
            raise UsageError(f"--tests {command!r}: {word} cannot be used for a verdict")
    return runner


def _node(words: Sequence[str]) -> Runner:
    args: list[str] = []
    paths: list[str] = []
    for number, word in enumerate(words):
        after_value = number > 0 and words[number - 1] in NODE_VALUES
        (args if word.startswith("-") or after_value else paths).append(word)
    return Runner("node", tuple(args), tuple(paths))


def _package(words: list[str]) -> Runner | None:
    """What a script of a package.json calls vitest or jest with."""
    start = next((n for n, word in enumerate(words) if not BEFORE.fullmatch(word)), len(words))
    called = words[start:]
    options = (ESM,) if any(ESM in word for word in words[:start]) else ()
    match [PurePosixPath(word).stem for word in called[:1]] + called[1:2]:
        case ["jest", *_]:
            return Runner("jest", tuple(called[1:]), options)
        case ["vitest", "run"]:
            return Runner("vitest", tuple(called[2:]))
        case ["vitest", *words] if OTHER_COMMANDS.isdisjoint(words):
            return Runner("vitest", tuple(called[1:]))
    return None
