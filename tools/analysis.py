"""Repository analysis: what is in it, as data for the ledger and as a short map for people."""

from pydantic import BaseModel, ValidationError

from tools.desktop import Desktop
from tools.errors import EnvironmentFaultError, ToolError
from tools.layout import CONTROL, PROGRAMS, REPO, install_programs

ANALYSIS_LIMIT = 16 << 20
"""Bytes of an analysis that are read."""


class Module(BaseModel):
    """A Python file: symbols as [name, first line, last line], and the modules it imports."""

    symbols: list[tuple[str, int, int]] = []
    imports: list[str] = []


class Analysis(BaseModel):
    """Counts by language, the Python modules by path, and where the tests are."""

    files: int = 0
    lines: dict[str, int] = {}
    modules: dict[str, Module] = {}
    tests: list[str] = []
    unparsable: list[str] = []

    def summary(self) -> str:
        """One line for people: how large, in what languages, how many test files."""
        languages = ", ".join(f"{name} {count}" for name, count in list(self.lines.items())[:3])
        return f"{self.files} files; lines: {languages or 'none'}; {len(self.tests)} test files"

    def map(self, *, limit: int = 6000, first: tuple[str, ...] = ()) -> str:
        """List modules with their symbols, those in `first` first, within `limit` characters."""
        paths = sorted(self.modules, key=lambda path: (path not in first, path in self.tests, path))
        lines: list[str] = []
        for path in paths:
            names = ", ".join(symbol[0] for symbol in self.modules[path].symbols)
            lines.append(f"{path}: {names}"[:400])
        text = "\n".join(lines)
        return text if len(text) <= limit else text[:limit].rsplit("\n", 1)[0] + "\n..."


async def analyze_repository(desktop: Desktop) -> Analysis:
    """Analyse `REPO` inside the desktop; nothing of it is imported or executed."""
    await install_programs(desktop)
    target = f"{CONTROL}/analysis.json"
    done = await desktop.exec(f"python {PROGRAMS}/analyze.py > {target}", cwd=REPO, timeout_s=300)
    try:
        return Analysis.model_validate_json(await desktop.fs.read_bytes(target, ANALYSIS_LIMIT))
    except (ToolError, ValidationError) as error:
        reason = done.stderr.strip().splitlines()[-1:] or [str(error)]
        raise EnvironmentFaultError(f"cannot analyse the repository: {reason[0][:300]}") from error
