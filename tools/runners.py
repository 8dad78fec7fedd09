"""What runs a repository's tests: pytest, unittest or Node's own runner, by the user's command."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tools.analysis.profile import Profile
from tools.errors import UsageError

RunnerName = Literal["pytest", "unittest", "node"]

NODE_VALUES = frozenset(
    {
        "-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions",
        "--env-file", "--test-name-pattern", "--test-skip-pattern", "--test-coverage-include",
    }
)  # fmt: skip
"""Options of node whose value may be the next word."""

NODE_OWN = ("--watch", "--test-reporter", "--test-isolation", "--test-shard", "--test-only")
"""Options of node that a verdict cannot be left to."""

SUPPORTED = "pytest, python -m unittest, node --test"


@dataclass(frozen=True)
class Runner:
    """A runner with the user's arguments; of node's, `paths` are the files and patterns."""

    name: RunnerName = "pytest"
    args: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Variables for the tests, which may hold secrets: they are in no file."""

    @property
    def is_python(self) -> bool:
        """Whether the tests are Python, so that pytest can collect their files too."""
        return self.name != "node"


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
    match words:
        case [] | ["pytest", *_]:
            return Runner(args=tuple(words[1:]))
        case [python, "-m", "pytest", *args] if python.startswith("python"):
            return Runner(args=tuple(args))
        case [python, "-m", "unittest", *args] if python.startswith("python"):
            return Runner("unittest", args=tuple(args))
        case ["node", *args] if "--test" in args:
            return _node(command, [word for word in args if word != "--test"])
    raise UsageError(
        f"--tests {command!r} is not a command of a runner that is supported ({SUPPORTED})",
        hint="write: --tests 'pytest ARGUMENTS', or 'node --test FILES'",
    )


def detected_command(profile: Profile) -> str:
    """The test command of a repository whose user named none.

    Python's tests are pytest's, which runs unittest's too; Node's are those of the script `test`
    where that is a command for them. Empty where nothing speaks for another runner than pytest.
    """
    if "node --test" not in profile.tests.frameworks:
        return ""
    if any(name.startswith("pytest") for name in profile.tests.frameworks):
        return ""
    script = profile.commands.get("npm run test", "")
    try:
        named = runner_of(script).name == "node"
    except UsageError:
        named = False
    return script if named else "node --test"


def _node(command: str, words: Sequence[str]) -> Runner:
    args: list[str] = []
    paths: list[str] = []
    for number, word in enumerate(words):
        if word.startswith(NODE_OWN):
            raise UsageError(f"--tests {command!r}: {word} cannot be used for a verdict")
        after_value = number > 0 and words[number - 1] in NODE_VALUES
        (args if word.startswith("-") or after_value else paths).append(word)
    return Runner("node", tuple(args), tuple(paths))
