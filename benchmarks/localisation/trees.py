"""Old trees of mirrors as corpora: each blob parsed once, by the program that desktops run."""

import json
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tools.analysis.building import Builder
from tools.analysis.corpus import Corpus
from tools.analysis.facts import Facts
from tools.inside.languages import language_of

PROGRAM = Path(__file__).parents[2] / "tools/inside/parse_sources.py"
BATCH = 2000
LARGEST = 1 << 20


def git(mirror: Path, *args: str, data: bytes | None = None) -> bytes:
    """What a git command prints."""
    command = ["git", "-C", str(mirror), *args]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


class Trees:
    """Corpora of commits; facts and corpora are kept in `cache`, a folder."""

    def __init__(self, cache: Path) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        self._cache = cache
        self._facts = sqlite3.connect(cache / "facts.db")
        self._facts.execute("CREATE TABLE IF NOT EXISTS facts (blob TEXT PRIMARY KEY, facts TEXT)")

    def close(self) -> None:
        """Close the database of facts."""
        self._facts.close()

    def corpus(self, mirror: Path, commit: str) -> Corpus:
        """The corpus of a commit."""
        kept = self._cache / f"{commit}.corpus"
        if kept.exists():
            return Corpus.from_bytes(kept.read_bytes())
        listing = git(mirror, "ls-tree", "-r", "-l", "-z", commit).decode(
            "utf-8", "surrogateescape"
        )
        files: list[tuple[str, str]] = []
        for entry in listing.split("\0"):
            head, _, path = entry.partition("\t")
            words = head.split()
            if (
                words
                and words[0].startswith("100")
                and language_of(path)
                and int(words[3]) <= LARGEST
            ):
                files.append((path, words[2]))
        known = self._known(mirror, files)
        builder = Builder()
        for path, blob in files:
            if blob in known:
                builder.add(path, known[blob])
        corpus = builder.corpus()
        kept.write_bytes(corpus.to_bytes())
        return corpus

    def _known(self, mirror: Path, files: Sequence[tuple[str, str]]) -> dict[str, Facts]:
        blobs = {blob: path for path, blob in files}
        have = {row[0] for row in self._facts.execute("SELECT blob FROM facts")}
        missing = [(path, blob) for blob, path in blobs.items() if blob not in have]
        for start in range(0, len(missing), BATCH):
            self._parse(mirror, missing[start : start + BATCH])
        found = {}
        for blob in blobs:
            row = self._facts.execute("SELECT facts FROM facts WHERE blob = ?", [blob]).fetchone()
            if row and row[0] != "null":
                found[blob] = Facts.model_validate_json(row[0])
        return found

    def _parse(self, mirror: Path, missing: Sequence[tuple[str, str]]) -> None:
        contents = git(
            mirror, "cat-file", "--batch", data="\n".join(blob for _, blob in missing).encode()
        )
        with tempfile.TemporaryDirectory() as name:
            folder, at, wanted = Path(name), 0, []
            for number, (path, _) in enumerate(missing):
                end = contents.index(b"\n", at)
                size = int(contents[at:end].split()[2])
                file = folder / f"{number}.{path.rpartition('.')[2]}"
                file.write_bytes(contents[end + 1 : end + 1 + size])
                at = end + size + 2
                wanted.append([file.name, language_of(path)])
            (folder / "wanted.json").write_text(json.dumps(wanted))
            command = [sys.executable, str(PROGRAM), "parse", name, "5"]
            subprocess.run(command, cwd=name, check=True)
            parts = folder.glob("facts.*.jsonl")
            lines = [line for part in parts for line in part.read_text().splitlines()]
        rows = {blob: "null" for _, blob in missing}
        for line in lines:
            if line != "null":
                rows[json.loads(line)["blob"]] = line
        with self._facts:
            self._facts.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", rows.items())


def history(mirror: Path, commit: str, limit: int) -> list[tuple[str, list[str]]]:
    """Titles and changed files of the commits up to one, newest first."""
    log = git(
        mirror, "log", commit, "--no-merges", f"-n{limit}", "--name-only", "--no-renames",
        "--format=%x01%s",
    ).decode("utf-8", "replace")  # fmt: skip
    entries = [entry.split("\n") for entry in log.split("\x01")[1:]]
    return [(entry[0], [line for line in entry[1:] if line]) for entry in entries]


def test_source(mirror: Path, commit: str, path: str, names: Iterable[str]) -> str:
    """What a failing test says: its functions, and the imports of its file."""
    text = git(mirror, "show", f"{commit}:{path}").decode("utf-8", "replace")
    lines = text.splitlines()
    kept = [
        line for line in lines if re.match(r"\s*(import|from|use|#include)\b|.*require\(", line)
    ]
    for name in names:
        start = next((n for n, line in enumerate(lines) if name in line), None)
        if start is None:
            continue
        indent = len(lines[start]) - len(lines[start].lstrip())
        kept.append(lines[start])
        for line in lines[start + 1 : start + 120]:
            if line.strip() and len(line) - len(line.lstrip()) <= indent:
                break
            kept.append(line)
    return "\n".join(kept)
