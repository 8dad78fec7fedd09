"""Watching folders with inotify: events wait here, in bounds, until the host takes them.

A watch that is not read stops reading the kernel's queue once it holds enough; the kernel then
drops events and says so, and so does the watch. Nothing is pushed to the host but one short hint
for each time there is something to take.
"""

import os
import select
import stat

from sentient_desktop.sandbox.guest.files import entry_of, resolve
from sentient_desktop.sandbox.guest.processes import call_libc
from sentient_desktop.sandbox.guest.wire import Channel, Refused, Reply, Request

WATCH_LIMIT = 32
"""Watches of one desktop; each is an inotify instance, of which a host user has 128 by default."""

FOLDER_LIMIT = 16384
"""Folders one recursive watch follows."""

EVENT_LIMIT = 1024
"""Events held here for one watch; the kernel holds fs.inotify.max_queued_events more."""

NOTE_LIMIT = 4 * EVENT_LIMIT
"""What one read, or one new folder found full, may make of that at most."""

READ_BYTES = 1 << 14

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE = 0x2, 0x4, 0x40, 0x80, 0x100
_DELETE, _DELETE_SELF, _MOVE_SELF, _OVERFLOW, _IGNORED = 0x200, 0x400, 0x800, 0x4000, 0x8000
_IS_FOLDER, _ONLY_FOLDER, _DONT_FOLLOW = 0x40000000, 0x1000000, 0x2000000
_WANTED = (
    _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
)

_KINDS = (
    (_CREATE | _MOVED_TO, "create"),
    (_MOVED_FROM | _MOVE_SELF, "rename"),
    (_ATTRIB, "chmod"),
    (_MODIFY, "write"),
    (_DELETE | _DELETE_SELF, "remove"),
)
"""The names E2B's envd gives to the kernel's events."""

OVERFLOWED = (
    "watcher error: queue or buffer overflow: events were lost because they were not read in time; "
    "look at the directory again and start a new watcher"
)


class Watch:
    """One watched folder and, if asked, every folder below it."""

    def __init__(self, top: str, *, recursive: bool, entries: bool) -> None:
        if not stat.S_ISDIR(os.stat(top).st_mode):
            raise Refused("ENOTDIR", f"path {top} not a directory")
        self.top = top
        self.hinted = self.parked = False
        self.events: list[list[object]] = []
        self.broken = ""
        self._recursive = recursive
        self._entries = entries
        self._folders: dict[int, str] = {}
        self.fd = call_libc("inotify_init1", os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0:
            text = "the kernel refuses another watcher (fs.inotify.max_user_instances)"
            raise Refused("ENOSPC", text)
        self._follow("", announce=False)
        if self.broken:
            os.close(self.fd)
            raise Refused("ENOSPC", self.broken)

    def _path(self, relative: str) -> str:
        return os.path.join(self.top, relative) if relative else self.top

    def _follow(self, folder: str, *, announce: bool) -> None:
        """Watch a folder, and what is below it.

        ``announce`` what is there already: it was created before a new folder could be watched.
        """
        pending = [folder]
        while pending and not self.broken:
            here = pending.pop()
            if not self._add(here) or not self._recursive:
                continue
            try:
                found = sorted(os.scandir(self._path(here)), key=lambda entry: entry.name)
            except OSError:
                continue  # it vanished between two looks, or is not ours to look into
            for entry in found:
                relative = f"{here}/{entry.name}" if here else entry.name
                if announce:
                    self._note("create", relative)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(relative)

    def _add(self, folder: str) -> bool:
        """Watch one folder; return whether it is new here."""
        if len(self._folders) >= FOLDER_LIMIT:
            self.broken = f"watcher error: more than {FOLDER_LIMIT} folders are below {self.top}"
            return False
        path = self._path(folder)
        flags = _WANTED | _ONLY_FOLDER | (_DONT_FOLLOW if folder else 0)
        number = call_libc("inotify_add_watch", self.fd, os.fsencode(path), flags)
        if number < 0:
            if os.path.isdir(path) and os.access(path, os.R_OK):
                text = "the kernel refuses to watch more folders (fs.inotify.max_user_watches)"
                self.broken = f"watcher error: {text}"
            return False
        known = self._folders.get(number)
        self._folders[number] = folder
        return known != folder

    def _forget(self, folder: str) -> None:
        """Stop watching a folder that was moved away, with what is below it."""
        below = folder + "/"
        for number, path in list(self._folders.items()):
            if path == folder or path.startswith(below):
                del self._folders[number]
                call_libc("inotify_rm_watch", self.fd, number)

    def _note(self, kind: str, relative: str) -> None:
        if len(self.events) >= NOTE_LIMIT:
            self.broken = OVERFLOWED
            return
        entry = None
        if self._entries and kind not in ("remove", "rename"):
            try:
                entry = entry_of(self._path(relative))
            except OSError:
                pass  # gone again already
        self.events.append([kind, relative or ".", entry])

    def read(self) -> None:
        """Take events from the kernel until it has no more or the bound is reached."""
        while len(self.events) < EVENT_LIMIT and not self.broken:
            try:
                data = os.read(self.fd, READ_BYTES)
            except BlockingIOError:
                return
            start = 0
            while start < len(data):
                number, mask, _, length = memoryview(data)[start : start + 16].cast("I")
                name = os.fsdecode(data[start + 16 : start + 16 + length].rstrip(b"\0"))
                start += 16 + length
                self._take(number, mask, name)

    def _take(self, number: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:
            self.broken = OVERFLOWED
        folder = self._folders.get(number)
        if mask & _IGNORED:
            self._folders.pop(number, None)
        elif folder is not None and (name or not folder):  # below the top, the parent tells
            relative = f"{folder}/{name}" if folder else name
            for bits, kind in _KINDS:
                if mask & bits:
                    self._note(kind, relative)
            if self._recursive and mask & _IS_FOLDER and name:
                if mask & _MOVED_FROM:
                    self._forget(relative)
                elif mask & (_CREATE | _MOVED_TO):
                    self._follow(relative, announce=bool(mask & _CREATE))


class Watches:
    """The watches of a desktop, by the keys the host gave them. Main thread only."""

    def __init__(self, channel: Channel, poller: select.poll) -> None:
        self._channel = channel
        self._poller = poller
        self._by_key: dict[str, Watch] = {}
        self._keys: dict[int, str] = {}

    def do_watch(self, request: Request) -> Reply:
        """Begin watching a folder."""
        if len(self._by_key) >= WATCH_LIMIT:
            text = f"{WATCH_LIMIT} watchers exist in this desktop already; remove one first"
            raise Refused("EAGAIN", text)
        recursive, entries = request["recursive"], request["entries"]
        watch = Watch(resolve(request["path"]), recursive=recursive, entries=entries)
        self._by_key[request["key"]] = watch
        self._keys[watch.fd] = request["key"]
        self._poller.register(watch.fd, select.POLLIN)
        return {}

    def _find(self, request: Request) -> Watch:
        watch = self._by_key.get(request["key"])
        if watch is None:
            raise Refused("ENOENT", f"watcher with id {request['key']} not found")
        return watch

    def do_take(self, request: Request) -> Reply:
        """Hand over what happened since the last time; a watch that lost events says so."""
        watch = self._find(request)
        watch.read()
        events, watch.events, watch.hinted = watch.events, [], False
        if not events and watch.broken:
            raise Refused("EOVERFLOW", watch.broken)
        if watch.parked:
            self._poller.register(watch.fd, select.POLLIN)
            watch.parked = False
        return {"events": events}

    def do_unwatch(self, request: Request) -> Reply:
        """End a watch."""
        watch = self._find(request)
        if not watch.parked:
            self._poller.unregister(watch.fd)
        del self._by_key[request["key"]], self._keys[watch.fd]
        os.close(watch.fd)
        return {}

    def on_readable(self, fd: int) -> None:
        """Read a watch's events, and hint to the host that there are some."""
        key = self._keys[fd]
        watch = self._by_key[key]
        watch.read()
        if watch.broken or len(watch.events) >= EVENT_LIMIT:
            self._poller.unregister(fd)
            watch.parked = True
        if not watch.hinted and (watch.events or watch.broken):
            watch.hinted = True
            self._channel.send({"watch": key})
