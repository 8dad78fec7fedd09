"""A repository as arrays: who says which words, who defines what, who refers to whom.

Made once a git tree, kept as one block of bytes, and read back without looking at each entry, so
that an unchanged repository costs next to nothing.
"""

import io
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float32]

TEST, ASIDE = 1, 2


@dataclass(frozen=True)
class Postings:
    """For each term the files it is in and how often: CSR arrays, counts up to 255."""

    starts: Ints
    files: Ints
    counts: Ints
    lengths: Ints
    """Words a file has in all."""

    def of(self, term: int) -> tuple[Ints, Ints]:
        """The files with a term, and its counts."""
        part = slice(self.starts[term], self.starts[term + 1])
        return self.files[part], self.counts[part]


@dataclass(frozen=True)
class Corpus:
    """Files are numbered as in `paths`. Edges go from who refers to who defines."""

    paths: list[str]
    languages: list[str]
    symbols: list[str]
    """For each file its definitions, one a line: first line, last line, kind, name."""
    terms: list[str]
    lines: Ints
    kinds: Ints
    """`TEST` for tests, `ASIDE` for examples and the like, 0 for the rest."""
    contents: Postings
    names: Postings
    """Terms of the names that a file defines."""
    places: Postings
    """Terms of its path."""
    sources: Ints
    targets: Ints
    weights: Floats

    def to_bytes(self) -> bytes:
        """All of it, for `from_bytes`."""
        arrays: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Postings):
                arrays |= {f"{field.name}.{f.name}": getattr(value, f.name) for f in fields(value)}
            elif isinstance(value, list):
                arrays[field.name] = _bytes(value)
            else:
                arrays[field.name] = value
        out = io.BytesIO()
        np.savez(out, allow_pickle=False, **arrays)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Corpus":
        """What `to_bytes` gave.

        Raises:
            ValueError, KeyError, zipfile.BadZipFile: it is something else.
        """
        values: dict[str, Any] = {}
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            for field in fields(cls):
                if field.type is Postings:
                    parts = {f.name: stored[f"{field.name}.{f.name}"] for f in fields(Postings)}
                    values[field.name] = Postings(**parts)
                else:
                    array = stored[field.name]
                    values[field.name] = _texts(array) if field.type == list[str] else array
        return cls(**values)


def _bytes(texts: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer("".join(f"{text}\0" for text in texts).encode(), np.uint8)


def _texts(array: NDArray[np.uint8]) -> list[str]:
    return array.tobytes().decode().split("\0")[:-1]
