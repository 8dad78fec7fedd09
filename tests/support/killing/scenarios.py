"""What the runs of a campaign work on: a repository, how it is asked for, who decides."""

import json
from dataclasses import dataclass, field
from typing import Any

from scripted_model import Answer

CALC = """\
def mean(values):
    return sum(values) / (len(values) + 1)
"""

TEST_CALC = """\
from calc import mean


def test_mean():
    assert mean([2, 4]) == 3


def test_mean_of_zero():
    assert mean([0]) == 0
"""

FILES = {"calc.py": CALC, "test_calc.py": TEST_CALC, "effects.md": "effects\n"}
"""A repository whose tests take milliseconds."""

EFFECTS = 5
"""Lines that the script's calls append, each once."""

PACKAGES = 6
"""Packages that the tests of the repository with requirements import."""


def append(number: int) -> tuple[str, str]:
    """A tool call with an effect that shows how often it happened."""
    return "shell", json.dumps({"command": f"echo 'effect {number}' >> effects.md"})


REPAIR = (
    "replace",
    json.dumps({"path": "calc.py", "old": "(len(values) + 1)", "new": "len(values)"}),
)

SCRIPT: list[Answer] = [
    {"calls": [append(1), append(2)]},
    {"calls": [append(3)]},
    {"calls": [REPAIR, append(4)]},
    {"calls": [append(5), ("hand_in", json.dumps({"summary": "done"}))]},
]
"""What the coder decides: two effects at once, one alone, one after an edit, one with the end."""


@dataclass(frozen=True)
class Scenario:
    """One kind of run."""

    files: dict[str, str] = field(default_factory=lambda: FILES)
    model: str = "scripted"
    given: dict[str, Any] = field(default_factory=dict)
    """What the run is given beside its source."""
    answer: str | None = None
    """To whatever it asks."""
    effects: int = EFFECTS
    installs: bool = False
    has_command: bool = False
    """Whether some of the attempts go through the command line in fresh interpreters."""


def package(number: int) -> tuple[str, dict[str, str]]:
    """Name and files of a package: enough of them that installing takes its time."""
    name = f"part{number}"
    modules = {f"{name}/module_{n}.py": f"VALUE = {n}\n" for n in range(1, 40)}
    whole = f"from {name} import {', '.join(f'module_{n}' for n in range(1, 40))}\n"
    return name, {f"{name}/__init__.py": whole, **modules}


IMPORTS = "\n".join(f"import part{number}" for number in range(PACKAGES))

INSTALLED = {
    **FILES,
    "test_calc.py": f"{IMPORTS}\n{TEST_CALC}",
    "requirements.txt": "".join(f"part{number}\n" for number in range(PACKAGES)),
}

SCENARIOS = {
    "model": Scenario(has_command=True),
    "engine": Scenario(model="none", effects=0),
    "asked": Scenario(given={"approve": True}, answer="approve"),
    "installs": Scenario(INSTALLED, installs=True),
}
