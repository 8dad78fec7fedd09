"""Which files of the repository may be repaired: its own modules, never its tests."""

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from .source import SourceFile

_TEST_FOLDER = re.compile(r"(.*[_-])?test(s|ing|cases)?", re.IGNORECASE)
_FOREIGN_FOLDERS = {"site-packages", "node_modules", "venv"}


class Targets:
    """Decides about files by path, and reads those that qualify."""

    def __init__(
        self, root: Path, protected: Sequence[str] = (), collected: Collection[str] = ()
    ) -> None:
        self._root = root
        self._protected = protected
        self._collected = set(collected)
        """Files that tests were collected from."""
        self.files: dict[str, SourceFile] = {}
        """The files read so far, by absolute path."""
        self._decided: dict[str, bool] = {}

    def open_file(self, path: str) -> bool:
        """Tell whether a file may be edited; reads it when it is asked about first."""
        if path not in self._decided:
            self._decided[path] = self._is_open(path) and self._read(path)
        return self._decided[path]

    def relative(self, path: str) -> str:
        """Return a file's path as results name it."""
        return Path(path).relative_to(self._root).as_posix()

    def _is_open(self, path: str) -> bool:
        file = Path(path)
        if file.suffix != ".py" or path in self._collected or not file.is_relative_to(self._root):
            return False
        relative = file.relative_to(self._root)
        folders = relative.parts[:-1]
        testing = any(_TEST_FOLDER.fullmatch(folder) for folder in folders)
        hidden = any(part.startswith(".") for part in relative.parts)
        name = file.stem
        is_test = name.startswith("test_") or name.endswith("_test") or name == "conftest"
        outside = hidden or is_test or testing or _FOREIGN_FOLDERS.intersection(folders)
        return not outside and not any(
            fnmatch(relative.as_posix(), pattern) for pattern in self._protected
        )

    def _read(self, path: str) -> bool:
        with suppress(OSError, SyntaxError, ValueError):
            self.files[path] = SourceFile.read(path)
            return True
        return False
