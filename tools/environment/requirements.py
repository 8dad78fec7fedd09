"""Requirement files in pip's notation: what an index has, apart from what it has not."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement

HASH = re.compile(r"--hash=sha\d{3}:[0-9a-f]{64,128}")
INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)[\s=]*(.+)")
COMMENT = re.compile(r"(^|\s)#.*$")


@dataclass
class Wanted:
    """Requirements and constraints, each valid and to be had from an index; and what was not."""

    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """In words: what is not installed, and where it is asked for."""


def read_file(name: str, texts: Mapping[str, str], wanted: Wanted, *, limits: bool = False) -> None:
    """Add what a file, and those it includes, ask for; with `limits` all of it constrains only."""
    _read(name, texts, wanted, limits, set())


def _read(
    name: str, texts: Mapping[str, str], wanted: Wanted, limits: bool, seen: set[str]
) -> None:
    if name in seen:
        return
    seen.add(name)
    if name not in texts:
        wanted.left_out.append(f"{name}: there is no such file, or it is too large")
        return
    for line in _lines(texts[name]):
        include = INCLUDE.fullmatch(line)
        if include:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), include[2].strip()))
            _read(path, texts, wanted, limits or include[1] in ("-c", "--constraint"), seen)
        else:
            add(line, name, wanted, limits=limits)


def _lines(text: str) -> Iterator[str]:
    """Logical lines without comments; those that end with a backslash are joined."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        bare = COMMENT.sub("", line).strip()
        if bare:
            yield bare


def add(line: str, place: str, wanted: Wanted, *, limits: bool = False) -> None:
    """Add one requirement, with its hashes; a path, an address or an option is left out."""
    text, *options = re.split(r"\s+(?=--)", line)
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = None
    if requirement is None or requirement.url:
        wanted.left_out.append(f"{place}: {line[:200]}")
        return
    hashes = [option for option in options if HASH.fullmatch(option)]
    target = wanted.constraints if limits else wanted.requirements
    target.append(" ".join([str(requirement), *hashes]))
