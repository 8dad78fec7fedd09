"""Corpora of small repositories, parsed by the program that desktops run, without a desktop."""

import json
import subprocess
import sys
from pathlib import Path

from samples import ROOT, write_files

from tools.analysis.building import Builder
from tools.analysis.corpus import Corpus
from tools.analysis.facts import Facts
from tools.inside.languages import language_of

PROGRAM = ROOT / "tools/inside/parse_sources.py"


def parse_files(folder: Path, files: dict[str, str], *, seconds: float = 5) -> dict[str, Facts]:
    """Facts by path; files that could not be parsed are missing."""
    write_files(folder / "repo", files)
    wanted = [[path, language_of(path)] for path in files]
    (folder / "wanted.json").write_text(json.dumps(wanted))
    command = [sys.executable, str(PROGRAM), "parse", str(folder), str(seconds)]
    subprocess.run(command, cwd=folder / "repo", check=True)
    parts = sorted(folder.glob("facts.*.jsonl"))
    found: dict[str, Facts] = {}
    for number, part in enumerate(parts):
        lines = part.read_text().splitlines()
        shares = zip(list(files)[number :: len(parts)], lines, strict=True)
        found |= {path: Facts.model_validate_json(line) for path, line in shares if line != "null"}
    return found


def corpus_of(folder: Path, files: dict[str, str]) -> Corpus:
    """The corpus of {path: text}."""
    return built(parse_files(folder, files))


def corpora_of(folder: Path, samples: dict[str, dict[str, str]]) -> dict[str, Corpus]:
    """A corpus for each of several repositories, parsed together."""
    numbers = {name: f"{number}/" for number, name in enumerate(samples)}
    together = {
        numbers[name] + path: text
        for name, files in samples.items()
        for path, text in files.items()
    }
    facts = parse_files(folder, together)
    return {
        name: built({path: facts[numbers[name] + path] for path in samples[name]})
        for name in samples
    }


def built(facts: dict[str, Facts]) -> Corpus:
    """The corpus of files whose facts are known."""
    builder = Builder()
    for path in sorted(facts):
        builder.add(path, facts[path])
    return builder.corpus()
