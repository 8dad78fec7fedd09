"""Builds a corpus from the facts of one file after the other, holding little more than arrays."""

from array import array
from collections.abc import Iterator

import numpy as np

from tools.analysis.corpus import ASIDE, TEST, Corpus, Floats, Ints, Postings
from tools.analysis.facts import Facts
from tools.analysis.imports import Imports
from tools.analysis.paths import is_aside, is_test
from tools.analysis.words import path_terms, terms_of

SHARED = 6
"""Files that may define a name which still says where it comes from."""

IMPORT_WEIGHT = 3.0

FILE_BITS, COUNT_BITS = 16, 16
"""Bits of a file's number, of which a listing has no more, and of how often it has a word."""


class Builder:
    """Takes files one by one; `corpus` arranges what it took."""

    def __init__(self) -> None:
        self._paths: list[str] = []
        self._languages: list[str] = []
        self._symbols: list[str] = []
        self._imports: list[str] = []
        self._named: list[array[int]] = []
        self._lines = array("l")
        self._words: dict[str, int] = {}
        self._sizes = array("l")
        self._word, self._count = array("i"), array("i")
        self._definers: dict[int, list[int]] = {}

    def add(self, path: str, facts: Facts) -> None:
        """Take the next file."""
        number, words = len(self._paths), self._words
        self._paths.append(path)
        self._languages.append(facts.language)
        self._imports.append("\0".join(facts.imports))
        self._lines.append(facts.lines)
        self._symbols.append("\n".join(f"{d[2]} {d[3]} {d[1]} {d[0]}" for d in facts.definitions))
        self._sizes.append(len(facts.words))
        self._word.extend([words.setdefault(word, len(words)) for word in facts.words])
        self._count.extend(facts.words.values())
        named = array("i")
        for name, kind, _, _ in facts.definitions:
            word = words.get(name.rpartition(".")[2])
            if word is None:
                continue
            named.append(word)
            found = self._definers.setdefault(word, []) if kind != "declaration" else [number]
            if found[-1:] != [number]:
                found.append(number)
        self._named.append(named)

    def corpus(self) -> Corpus:
        """All that was taken; the builder is spent."""
        count = len(self._paths)
        sizes = np.frombuffer(self._sizes, self._sizes.typecode) if count else np.empty(0, int)
        pairs = (
            np.repeat(np.arange(count, dtype=np.int32), sizes),
            np.array(self._word, np.int32),
            np.array(self._count, np.int32),
        )
        sources, targets, weights = self._edges(pairs)
        numbers: dict[str, int] = {}
        parts = [_numbered(numbers, terms_of(word)) for word in self._words]
        places = [_numbered(numbers, path_terms(path)) for path in self._paths]
        names = [array("i", [t for word in named for t in parts[word]]) for named in self._named]
        self._words.clear()
        return Corpus(
            paths=self._paths,
            languages=self._languages,
            symbols=self._symbols,
            terms=list(numbers),
            lines=np.array(self._lines, np.int32),
            kinds=np.array([_kind(path) for path in self._paths], np.uint8),
            contents=_contents(parts, pairs, count, len(numbers)),
            names=_listed(names, len(numbers)),
            places=_listed(places, len(numbers)),
            sources=sources,
            targets=targets,
            weights=weights,
        )

    def _edges(self, pairs: tuple[Ints, Ints, Ints]) -> tuple[Ints, Ints, Floats]:
        """References by names that few files define, and imports, as one weight a pair of files."""
        of_file, of_word, counts = pairs
        files = max(len(self._paths), 1)
        flat, sizes = self._few_definers()
        users = np.bincount(of_word, minlength=len(sizes))
        used = sizes[of_word] > 0
        of_file, of_word, counts = of_file[used], of_word[used], counts[used]
        rarity = np.log1p(files / np.maximum(users[of_word], 1)) * np.sqrt(counts)
        shares = sizes[of_word]
        index = _spread(shares)
        index += np.repeat((np.cumsum(sizes) - sizes).astype(np.int32)[of_word], shares)
        keys = np.repeat(of_file, shares).astype(np.uint32) * np.uint32(files) + flat[index]
        del index
        weights = np.repeat((rarity / np.maximum(shares, 1)).astype(np.float32), shares)
        extra = list(self._imported())
        keys = np.concatenate([keys, np.array([edge[0] for edge in extra], np.uint32)])
        weights = np.concatenate([weights, np.array([edge[1] for edge in extra], np.float32)])
        order = np.argsort(keys)
        keys, weights = keys[order], weights[order]
        first = np.flatnonzero(np.diff(keys, prepend=np.uint32(2**32 - 1)))
        weights = np.add.reduceat(weights, first) if len(first) else weights
        sources, targets = np.divmod(keys[first], np.uint32(files))
        other = sources != targets
        ends = sources[other].astype(np.uint16), targets[other].astype(np.uint16)
        return *ends, weights[other]

    def _few_definers(self) -> tuple[Ints, Ints]:
        """The files that define each word, and how many they are; none for common words."""
        sizes = np.zeros(max(len(self._words), 1), np.int32)
        flat: list[int] = []
        for word in sorted(self._definers):
            if len(self._definers[word]) <= SHARED:
                sizes[word] = len(self._definers[word])
                flat += self._definers[word]
        return np.array(flat, np.uint32), sizes

    def _imported(self) -> Iterator[tuple[int, float]]:
        resolver = Imports(self._paths)
        for number, names in enumerate(self._imports):
            for found in resolver.targets(number, self._languages[number], names.split("\0")):
                weight = IMPORT_WEIGHT / len(found)
                yield from ((number * len(self._paths) + other, weight) for other in found)


def _kind(path: str) -> int:
    return TEST if is_test(path) else ASIDE if is_aside(path) else 0


def _numbered(numbers: dict[str, int], terms: list[str]) -> "array[int]":
    return array("i", [numbers.setdefault(term, len(numbers)) for term in terms])


def _spread(sizes: Ints) -> Ints:
    """0, 1, … for each of the sizes in turn."""
    begins = (np.cumsum(sizes) - sizes).astype(np.int32)
    return np.arange(sizes.sum(), dtype=np.int32) - np.repeat(begins, sizes)


def _contents(
    parts: "list[array[int]]", pairs: tuple[Ints, Ints, Ints], files: int, terms: int
) -> Postings:
    """Give each term of each word the word's counts."""
    of_file, of_word, counts = pairs
    flat, sizes = _joined(parts)
    begins = (np.cumsum(sizes) - sizes).astype(np.int32)
    repeats = sizes[of_word]
    index = _spread(repeats)
    index += np.repeat(begins[of_word], repeats)
    term = flat[index]
    del index
    return _postings(term, np.repeat(of_file, repeats), np.repeat(counts, repeats), files, terms)


def _listed(terms_of_files: "list[array[int]]", terms: int) -> Postings:
    term, sizes = _joined(terms_of_files)
    file = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return _postings(term, file, np.ones(len(term), np.int32), len(sizes), terms)


def _joined(parts: "list[array[int]]") -> tuple[Ints, Ints]:
    whole = array("i")
    for part in parts:
        whole.extend(part)
    return np.array(whole, np.int32), np.array([len(part) for part in parts], np.int32)


def _postings(term: Ints, file: Ints, counts: Ints, files: int, terms: int) -> Postings:
    """Sort and add up. Term, file and count are packed in one number: sorting it needs no copy."""
    lengths = np.bincount(file, counts, minlength=files).astype(np.int32)
    packed = term.astype(np.uint64)
    packed <<= np.uint64(FILE_BITS)
    packed |= file.astype(np.uint64)
    packed <<= np.uint64(COUNT_BITS)
    packed |= np.minimum(counts, (1 << COUNT_BITS) - 1).astype(np.uint64)
    packed.sort()
    count = (packed & np.uint64((1 << COUNT_BITS) - 1)).astype(np.int32)
    packed >>= np.uint64(COUNT_BITS)
    first = np.flatnonzero(np.diff(packed, prepend=np.uint64(2**63)))
    total = np.add.reduceat(count, first) if len(first) else count
    packed = packed[first]
    edges = np.arange(terms + 1, dtype=np.uint64) << np.uint64(FILE_BITS)
    return Postings(
        np.searchsorted(packed, edges).astype(np.int32),
        (packed & np.uint64((1 << FILE_BITS) - 1)).astype(np.uint16),
        np.minimum(total, 255).astype(np.uint8),
        lengths,
    )
