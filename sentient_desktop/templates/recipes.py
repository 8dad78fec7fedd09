"""The built-in templates by name: the packages each adds to the base, and what the host must have.

``base`` is a Python with pytest and coverage, and whatever programs the host has under /usr. The
others add packages; versions are chosen by the resolver when the layer is built.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from sentient_desktop.errors import ApiError


@dataclass(frozen=True)
class Recipe:
    """What a template adds."""

    packages: tuple[str, ...] = ()
    """Requirements in pip's notation."""
    with_java: tuple[str, ...] = ()
    """Requirements added where the host has a Java virtual machine under /usr."""
    program: str = ""
    """A program of the host's that the template is about; without it there is no template."""

    def requirements(self) -> tuple[str, ...]:
        """Return what is to be installed on this host."""
        return self.packages + (self.with_java if find_program("java") else ())


# e2b-charts 1.0 reads a part of box plots that matplotlib 3.11 no longer gives.
_INTERPRETER = ("ipykernel>=6.29", "numpy", "pandas", "matplotlib<3.11", "e2b-charts", "requests")

RECIPES = {
    "base": Recipe(),
    "code-interpreter-v1": Recipe(_INTERPRETER),
    "data": Recipe((*_INTERPRETER, "pyarrow", "scipy"), with_java=("pyspark",)),
    "node": Recipe(program="node"),
}

TEMPLATES = frozenset(RECIPES)
"""Template names create() knows besides snapshots."""


def find_program(name: str) -> str | None:
    """Return where a program that desktops can see is on the host; None when there is none.

    Desktops see /usr of the host, but not /usr/local, which may hold private things.
    """
    found = shutil.which(name, path="/usr/bin:/bin")
    real = str(Path(found).resolve()) if found else ""
    return real if real.startswith("/usr/") and not real.startswith("/usr/local/") else None


def require_template(name: str) -> None:
    """Demand that a template exists and that this host can offer it.

    Raises:
        ApiError: 404 for a name nobody knows, 501 when the host lacks the program it is about.
    """
    recipe = RECIPES.get(name)
    if recipe is None:
        known = ", ".join(sorted(RECIPES))
        raise ApiError(404, f"template '{name}' not found (known: {known}, snapshots)")
    if recipe.program and not find_program(recipe.program):
        text = f"template '{name}' needs {recipe.program} under /usr on this machine; install it"
        raise ApiError(501, text, retryable=False)
