"""Which files of the repository an import means, by the paths of its files alone."""

from collections.abc import Iterable, Iterator, Sequence
from posixpath import normpath

DEPTH = 6
"""Folders of a path that an import may name."""

CANDIDATES = 4
"""Files that one import may mean; more of them say nothing."""

PACKAGE_FILES = 40
"""Files of a Go package above which importing it says nothing."""

IMPLICIT = frozenset({"__init__", "index", "mod", "lib", "main"})
"""Names of files that an import of their folder means."""


class Imports:
    """Finds files by the end of their path without extension, folders by the end of theirs."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._ends: dict[str, list[int]] = {}
        self._folders: dict[str, list[int]] = {}
        self._paths = paths
        self._known: dict[tuple[str, str, str], list[int]] = {}
        for number, path in enumerate(paths):
            folder, _, name = path.rpartition("/")
            stem, _, extension = name.rpartition(".")
            for end in _ends(f"{folder}/{stem}" if folder else stem):
                self._ends.setdefault(end, []).append(number)
            if stem in IMPLICIT and folder:
                for end in _ends(folder):
                    self._ends.setdefault(end, []).append(number)
            if extension == "go" and folder:
                for end in _ends(folder):
                    self._folders.setdefault(end, []).append(number)

    def targets(self, number: int, language: str, names: Iterable[str]) -> Iterator[list[int]]:
        """The files each import of a file means; imports of other packages mean none."""
        folder = self._paths[number].rpartition("/")[0]
        for name in names:
            key = (folder, language, name.strip("\"'<>` "))
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = self._find(*key)
            if found and found != [number]:
                yield [other for other in found if other != number]

    def _find(self, folder: str, language: str, name: str) -> list[int]:
        if not name:
            return []
        if language == "Go":
            return self._package(name)
        if language == "Python":
            return self._python(folder, name)
        if language == "Rust":
            return self._rust(folder, name)
        if language == "Java":
            name = name.replace(".", "/")
            return self._first([name, name.rpartition("/")[0]], folder)
        if language in ("C", "C++"):
            return self._first([_plain(name)], folder)
        if name.startswith("."):
            whole = normpath(f"{folder}/{name}")
            return self._first([whole, _plain(whole)], folder)
        return self._first([name, f"{name.rpartition('/')[2]}/src"], folder)

    def _python(self, folder: str, name: str) -> list[int]:
        module = name.lstrip(".")
        dots, parts = len(name) - len(module), module.replace(".", "/")
        if dots:
            up = "/".join([folder, *[".."] * (dots - 1)])
            parts = normpath(f"{up}/{parts}").lstrip("/")
        return self._first([parts, parts.rpartition("/")[0]], folder)

    def _package(self, name: str) -> list[int]:
        """The files of a Go package: the folder with the longest end of its name."""
        parts = name.split("/")
        for start in range(len(parts)):
            found = self._folders.get("/".join(parts[start:][-DEPTH:]))
            if found and len(found) <= PACKAGE_FILES:
                return found
        return []

    def _rust(self, folder: str, name: str) -> list[int]:
        parts = [part for part in name.partition("{")[0].strip(":").split("::") if part]
        parts = [part for part in parts if part not in ("crate", "self", "super")]
        ends = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        return self._first(ends, folder)

    def _first(self, ends: Iterable[str], folder: str) -> list[int]:
        """The nearest file for the first of the ends that any path has."""
        for end in ends:
            key = "/".join(end.split("/")[-DEPTH:])
            found = self._ends.get(key) if end else None
            if found and len(found) > 1:
                nearest = max(_shared(self._paths[number], folder) for number in found)
                found = [n for n in found if _shared(self._paths[n], folder) == nearest]
            if found and len(found) <= CANDIDATES:
                return found
        return []


def _ends(path: str) -> Iterator[str]:
    parts = path.split("/")
    for count in range(1, min(DEPTH, len(parts)) + 1):
        yield "/".join(parts[-count:])


def _plain(path: str) -> str:
    """A path without the extension of its file."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def _shared(path: str, folder: str) -> int:
    count = 0
    for one, other in zip(path.split("/"), folder.split("/"), strict=False):
        if one != other:
            break
        count += 1
    return count
