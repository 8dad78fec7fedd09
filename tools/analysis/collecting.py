"""Gets facts about a repository out of a desktop: which files there are, and what is in them.

The repository is hostile. It is read and parsed in its desktop, by `tools.inside.parse_sources`;
what comes out is data of bounded size, validated before anything is done with it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from tools.analysis.evidence import Commit
from tools.analysis.grammars import parser_files
from tools.errors import EnvironmentFaultError, ToolError
from tools.inside.languages import language_of
from tools.layout import CONTROL, PROGRAMS, REPO, install_programs

if TYPE_CHECKING:  # the SDK takes longer to import than a known analysis to read
    from tools.desktop import Desktop

FOLDER = f"{CONTROL}/analysis"
HISTORY = f"{CONTROL}/history.json"
"""Titles and files of past commits, kept when the user's own `.git` was removed."""

LISTING_BYTES, FACTS_BYTES, HISTORY_BYTES = 32 << 20, 256 << 20, 8 << 20
FILE_BYTES = 1 << 20
"""Bytes of one file above which it is not parsed."""
LINE_BYTES = 1 << 20
FACTS = re.compile(rb'^{"blob":"([0-9a-f]{40,64})"')
"""How a line of facts begins."""
WORKERS = 4
FILE_S = 3
"""Processor time that parsing one file may take."""
PARSE_S = 600

Path_ = Annotated[
    str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^/\x00][^\x00]*$")
]
Blob = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$|^[0-9a-f]{64}$")]


class Listing(BaseModel):
    """What git tracks, as path, blob and bytes; the texts of build files; what Python is there."""

    files: Annotated[list[tuple[Path_, Blob, int]], Field(max_length=50_000)]
    manifests: Annotated[dict[Path_, str], Field(max_length=40)]
    python: str
    machine: str

    @property
    def sources(self) -> Iterator[tuple[str, str]]:
        """Path and blob of each file in a language that is parsed."""
        for path, blob, size in self.files:
            if size <= FILE_BYTES and language_of(path):
                yield path, blob


async def list_repository(desktop: "Desktop") -> Listing:
    """Ask the desktop what is in `REPO`."""
    await install_programs(desktop)
    data = await _run(desktop, "list", f"{FOLDER}/listing.json", LISTING_BYTES)
    try:
        return Listing.model_validate_json(data)
    except ValidationError as error:
        raise EnvironmentFaultError(
            f"the listing of the repository is malformed: {error}"[:500]
        ) from error


async def past_commits(desktop: "Desktop") -> list[Commit]:
    """The commits that led to the base, newest first; empty where they are not known."""
    try:
        found = json.loads(await desktop.fs.read_bytes(HISTORY, HISTORY_BYTES))
        return [
            Commit(str(title)[:300], [str(path) for path in files][:50]) for title, files in found
        ]
    except (ToolError, ValueError, TypeError, RecursionError):
        return []


async def parse(
    desktop: "Desktop", listing: Listing, wanted: Sequence[tuple[str, str]], cache: Path
) -> dict[str, bytes]:
    """Have the wanted files (path and blob) parsed; facts by blob, as JSON not yet validated."""
    languages = {language_of(path) for path, _ in wanted}
    files = await parser_files(languages, listing.python, listing.machine, cache)
    await desktop.fs.write_files(
        {
            **{f"{FOLDER}/grammars/{path}": data for path, data in files.items()},
            f"{FOLDER}/wanted.json": json.dumps([[path, language_of(path)] for path, _ in wanted]),
        }
    )
    expected = {blob.encode(): blob for _, blob in wanted}
    found: dict[str, bytes] = {}
    data = await _run(desktop, "parse", f"{FOLDER}/facts.0.jsonl", FACTS_BYTES)
    for number in range(1, WORKERS + 1):
        for line in data.splitlines():
            match = FACTS.match(line) if len(line) <= LINE_BYTES else None
            if match and match[1] in expected:
                found[expected[match[1]]] = line
        name = f"{FOLDER}/facts.{number}.jsonl"
        if number == WORKERS or not await desktop.fs.exists(name):
            break
        data = await desktop.fs.read_bytes(name, FACTS_BYTES)
    await desktop.exec("rm", ["-rf", FOLDER])
    return found


async def _run(desktop: "Desktop", action: str, target: str, limit: int) -> bytes:
    command = f"mkdir -p {FOLDER} && python {PROGRAMS}/parse_sources.py {action} {FOLDER} {FILE_S}"
    done = await desktop.exec(command, cwd=REPO, timeout_s=PARSE_S)
    try:
        return await desktop.fs.read_bytes(target, limit)
    except ToolError as error:
        reason = done.stderr.strip().splitlines()[-1:] or [str(error)]
        raise EnvironmentFaultError(f"cannot analyse the repository: {reason[0][:300]}") from error
