"""A folder in memory that changes as the kernel's would: what the state machine compares with."""

import errno
import stat
import zlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

Change = list[Any]
"""A name and its arguments, as tree_program.py takes them."""

Listing = dict[str, list[Any]]
"""What tree_program.py says of each path."""


class Refused(Exception):
    """The change is not possible: the kernel must refuse it as well."""


@dataclass
class Node:
    kind: int
    mode: int
    data: bytearray = field(default_factory=bytearray)
    target: str = ""
    mtime: int | None = None
    """Only when it was set and nothing changed it since."""
    attributes: dict[str, str] = field(default_factory=dict)
    children: "dict[str, Node]" = field(default_factory=dict)
    below: bool = False
    """A file with several names on a layer below: a change through one of them parts them."""

    @property
    def content(self) -> Any:
        if self.kind == stat.S_IFREG:
            return [len(self.data), zlib.crc32(self.data)]
        return self.target if self.kind == stat.S_IFLNK else None


class Tree:
    """The model. ``apply`` makes one change or raises Refused."""

    def __init__(self) -> None:
        self.root = Node(stat.S_IFDIR, 0o755)
        self.held: Node | None = None
        self.held_size = 0

    def on_layers(self) -> "Tree":
        """Return the tree as a desktop has it that stands on a snapshot of this one."""
        copy = Tree()
        copy.root = deepcopy(self.root)
        names: dict[int, int] = {}
        for _, node in copy.walk():
            names[id(node)] = names.get(id(node), 0) + 1
        for _, node in copy.walk():
            node.below = node.kind != stat.S_IFDIR and names[id(node)] > 1
        return copy

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Yield (path, node) of everything; a file with two names comes twice."""
        waiting = [("", self.root)]
        while waiting:
            prefix, folder = waiting.pop()
            for name, node in folder.children.items():
                yield prefix + name, node
                if node.kind == stat.S_IFDIR:
                    waiting.append((f"{prefix}{name}/", node))

    def apply(self, change: Change, result: str) -> None:
        """Make one change; ``result`` is what the desktop said of it."""
        name, *arguments = change
        if name == "rename":
            arguments += [result == "copied", f"[Errno {errno.ESTALE}]" in result]
        getattr(self, f"_{name}")(*arguments)

    def differences(self, listing: Listing) -> list[str]:
        """Say, a line each, where a description of the real folder differs from this."""
        mine = dict(self.walk())
        found = [f"{path}: missing" for path in mine.keys() - listing.keys()]
        found += [f"{path}: should not be there" for path in listing.keys() - mine.keys()]
        for path in mine.keys() & listing.keys():
            node, (kind, mode, mtime, attributes, content) = mine[path], listing[path]
            wanted = [node.kind, node.mode, node.attributes, node.content]
            if [kind, mode, attributes, content] != wanted:
                found.append(f"{path}: {[kind, mode, attributes, content]}, wanted {wanted}")
            elif node.mtime not in (None, mtime):
                found.append(f"{path}: changed at {mtime}, wanted {node.mtime}")
        return found

    # finding

    def _folder_of(self, path: str) -> tuple[Node, str]:
        *parents, name = path.split("/")
        folder = self.root
        for parent in parents:
            if parent not in folder.children or folder.children[parent].kind != stat.S_IFDIR:
                raise Refused(path)
            folder = folder.children[parent]
        return folder, name

    def _find(self, path: str) -> Node:
        folder, name = self._folder_of(path)
        if name not in folder.children:
            raise Refused(path)
        return folder.children[name]

    def _changeable(self, path: str, *kinds: int) -> Node:
        """Return the node of a path that is about to change: its own from now on."""
        node = self._find(path)
        if node.kind not in kinds:
            raise Refused(path)
        if node.below:
            node = deepcopy(node)
            node.below = False
            folder, name = self._folder_of(path)
            folder.children[name] = node
        return node

    def _add(self, path: str, node: Node) -> None:
        folder, name = self._folder_of(path)
        if name in folder.children:
            raise Refused(path)
        folder.children[name] = node
        folder.mtime = None

    def _drop(self, path: str) -> None:
        folder, name = self._folder_of(path)
        del folder.children[name]
        folder.mtime = None

    # content

    def _file(self, path: str, *, make: bool = False) -> Node:
        folder, name = self._folder_of(path)
        if make and name not in folder.children:
            self._add(path, Node(stat.S_IFREG, 0o644))
        return self._changeable(path, stat.S_IFREG)

    def _write(self, path: str, text: str) -> None:
        node = self._file(path, make=True)
        node.data, node.mtime = bytearray(text.encode()), None

    def _append(self, path: str, text: str) -> None:
        node = self._file(path)
        node.data += text.encode()
        node.mtime = None if text else node.mtime

    def _sparse(self, path: str, offset: int, text: str) -> None:
        node = self._file(path, make=True)
        if text:
            _patch(node, offset, text.encode())
            node.mtime = None

    def _truncate(self, path: str, size: int) -> None:
        node = self._file(path)
        node.data = node.data[:size] + bytes(size - len(node.data[:size]))
        node.mtime = None

    def _poke(self, path: str, offset: int, text: str) -> None:
        node = self._file(path)
        _patch(node, offset, text.encode()[: max(0, len(node.data) - offset)])

    def _hold(self, path: str) -> None:
        self.held = self._file(path)
        self.held_size = len(self.held.data)

    def _release(self, _path: str) -> None:
        self.held = None

    def _held_write(self, _path: str, offset: int, text: str) -> None:
        if self.held is None:
            raise Refused("nothing is held")
        if text:
            _patch(self.held, offset, text.encode())
            self.held.mtime = None

    def _held_map(self, _path: str, offset: int, text: str) -> None:
        if self.held is None or not self.held_size:
            raise Refused("nothing is mapped")
        if offset + len(text.encode()) > min(self.held_size, len(self.held.data)):
            raise Refused("beyond the end")
        if text:
            _patch(self.held, offset, text.encode())
            self.held.mtime = None

    # names

    def _rename(self, path: str, target: str, copied: bool, stale: bool) -> None:
        node = self._find(path)
        folder, name = self._folder_of(target)
        if f"{target}/".startswith(f"{path}/") and target != path:
            raise Refused(target)
        there = folder.children.get(name)
        if there is not None:
            if there is node and not node.below:
                if stale:  # overlayfs refuses what POSIX calls nothing to do: test_overlay.py
                    raise Refused(target)
                return
            if path == target:
                return
            is_folder = node.kind == stat.S_IFDIR
            if is_folder != (there.kind == stat.S_IFDIR) or there.children:
                raise Refused(target)
        if node.below:
            node = self._changeable(path, node.kind)
        if copied:
            node = _copied(node)
        self._drop(path)
        folder.children[name] = node
        folder.mtime = None

    def _unlink(self, path: str) -> None:
        if self._find(path).kind == stat.S_IFDIR:
            raise Refused(path)
        self._drop(path)

    def _rmdir(self, path: str) -> None:
        node = self._find(path)
        if node.kind != stat.S_IFDIR or node.children:
            raise Refused(path)
        self._drop(path)

    def _rmtree(self, path: str) -> None:
        if self._find(path).kind != stat.S_IFDIR:
            raise Refused(path)
        self._drop(path)

    def _mkdir(self, path: str) -> None:
        self._add(path, Node(stat.S_IFDIR, 0o755))

    def _mkfifo(self, path: str) -> None:
        self._add(path, Node(stat.S_IFIFO, 0o600))

    def _symlink(self, path: str, target: str) -> None:
        self._add(path, Node(stat.S_IFLNK, 0, target=target))

    def _link(self, path: str, target: str) -> None:
        node = self._find(path)
        folder, name = self._folder_of(target)
        if node.kind == stat.S_IFDIR or name in folder.children:
            raise Refused(path)
        self._add(target, self._changeable(path, node.kind))

    # what belongs to a name's file

    def _chmod(self, path: str, mode: int) -> None:
        self._changeable(path, stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO).mode = mode

    def _utime(self, path: str, time: int) -> None:
        kinds = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFLNK)
        self._changeable(path, *kinds).mtime = time

    def _setxattr(self, path: str, name: str, value: str) -> None:
        self._changeable(path, stat.S_IFREG, stat.S_IFDIR).attributes[name] = value

    def _removexattr(self, path: str, name: str) -> None:
        if name not in self._find(path).attributes:
            raise Refused(name)
        del self._changeable(path, stat.S_IFREG, stat.S_IFDIR).attributes[name]


def _patch(node: Node, offset: int, data: bytes) -> None:
    if data:
        node.data.extend(bytes(max(0, offset - len(node.data))))
        node.data[offset : offset + len(data)] = data


def _copied(node: Node) -> Node:
    """Return a tree of its own in which no two names share a file."""
    children = {name: _copied(child) for name, child in node.children.items()}
    attributes, data = dict(node.attributes), bytearray(node.data)
    return replace(node, data=data, attributes=attributes, children=children, below=False)
