"""Contents of files in and out of the desktop, through pipes whose other ends the host holds."""

import errno
import os
import stat
from _collections_abc import Iterator

from sentient_desktop.sandbox.guest.files import METADATA_PREFIX, entry_of, metadata_of, resolve
from sentient_desktop.sandbox.guest.trees import make_folders
from sentient_desktop.sandbox.guest.wire import CHUNK, Channel, Refused, Reply, Request

DRAFTS = "/var/tmp/.uploads"
"""Where files grow that are being uploaded; on the file system of almost everything else."""


def open_regular(path: str, flags: int) -> int:
    """Open without ever blocking on a FIFO, and refuse everything that is not a plain file."""
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
    except IsADirectoryError:
        raise Refused("EISDIR", f"path is a directory: {path}") from None
    kind = os.fstat(fd).st_mode
    if stat.S_ISREG(kind):
        return fd
    os.close(fd)
    if stat.S_ISDIR(kind):
        raise Refused("EISDIR", f"path is a directory: {path}")
    raise Refused("EINVAL", f"path is not a regular file: {path}")


def create_regular(path: str) -> int:
    """Open a file to be filled anew, making its parents if they are missing.

    Its old content is cut off at the end of the new, not before it: ext4 takes a file emptied and
    written again for a precious one and writes it to the disk at once.
    """
    flags = os.O_WRONLY | os.O_CREAT
    try:
        fd = open_regular(path, flags)
    except FileNotFoundError:
        make_folders(os.path.dirname(path))
        fd = open_regular(path, flags)
    os.fchown(fd, os.getuid(), os.getgid())  # changes nothing, but watchers see it, as with envd
    return fd


def sweep_drafts() -> None:
    """Delete what uploads left behind that were cut off with the desktop. At boot only."""
    try:
        names = os.listdir(DRAFTS)
    except OSError:  # usually there is none
        return
    for name in names:
        try:
            os.unlink(f"{DRAFTS}/{name}")
        except OSError:  # whatever the guest made there is the guest's
            pass


class Draft:
    """A file that takes the place of ``target`` when it is whole; until then nobody finds it.

    Nothing is ever seen half written then, whenever the desktop ends. The old file's mode and
    attributes are kept; whoever has it open keeps the old content.
    """

    def __init__(self, target: str) -> None:
        """Raises OSError where a file cannot be replaced but perhaps written."""
        self.target = target
        try:
            old = os.lstat(target)
        except FileNotFoundError:
            old = None
        folder = os.path.dirname(target)
        if old is not None and old.st_nlink > 1:
            raise OSError(errno.EMLINK, "its other names would keep the old content")
        try:
            os.mkdir(DRAFTS, 0o700)
        except FileExistsError:
            pass
        here = os.lstat(DRAFTS)
        if not stat.S_ISDIR(here.st_mode) or os.stat(folder).st_dev != here.st_dev:
            raise OSError(errno.EXDEV, "it is on another file system")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, "its folder is not writable")
        self.path = f"{DRAFTS}/{os.urandom(8).hex()}"
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            if old is not None:
                os.fchmod(self.fd, stat.S_IMODE(old.st_mode))
                _copy_attributes(target, self.fd)
        except BaseException:
            self.discard()
            os.close(self.fd)
            raise

    def publish(self) -> None:
        """Put it in its place, and let watchers see what a file written in place shows."""
        os.rename(self.path, self.target)
        os.fchown(self.fd, os.getuid(), os.getgid())
        os.ftruncate(self.fd, os.fstat(self.fd).st_size)

    def discard(self) -> None:
        """Delete it, unless it has its place already or the guest took it away."""
        try:
            os.unlink(self.path)
        except OSError:  # the error that led here counts, not this one
            pass


def _copy_attributes(source: str, fd: int) -> None:
    try:
        for name in os.listxattr(source):
            os.setxattr(fd, name, os.getxattr(source, name))
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def write_metadata(fd: int, metadata: dict[str, str]) -> None:
    """Replace a file's user metadata; a filesystem without extended attributes keeps none."""
    try:
        for name in os.listxattr(fd):
            if name.startswith(METADATA_PREFIX) and name[len(METADATA_PREFIX) :] not in metadata:
                os.removexattr(fd, name)
        for name, value in metadata.items():
            os.setxattr(fd, METADATA_PREFIX + name, value.encode())
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def write_whole(fd: int, data: bytes) -> None:
    """Write everything; a pipe or a nearly full disk takes less at once."""
    while data:
        data = data[os.write(fd, data) :]


def do_read(request: Request, channel: Channel) -> None:
    """Answer with the size, then send that many bytes into the given pipe and close it."""
    path, sink = resolve(request["path"]), request["fds"][0]
    source = open_regular(path, os.O_RDONLY)
    try:
        size = os.fstat(source).st_size
        # Files of /proc claim to be empty; their content is small enough to be measured first.
        inline = b"" if size else os.read(source, CHUNK)
        channel.send({"id": request["id"], "size": size or len(inline)})
        write_whole(sink, inline)
        sent = 0
        while sent < size:
            count = os.sendfile(sink, source, sent, min(CHUNK, size - sent))
            if not count:
                break
            sent += count
    finally:
        os.close(source)


def _pieces(pipe: int) -> Iterator[bytes]:
    """Yield the length-prefixed pieces of a pipe until its end."""
    inbox = bytearray()
    while data := os.read(pipe, CHUNK):
        inbox += data
        start = 0
        while len(inbox) >= start + 4:
            end = start + 4 + int.from_bytes(inbox[start : start + 4], "big")
            if len(inbox) < end:
                break
            yield bytes(inbox[start + 4 : end])
            start = end
        del inbox[:start]
    if inbox:
        raise Refused("EPIPE", "the upload ended inside a file")


def _fill(fd: int, pieces: Iterator[bytes]) -> None:
    """Write pieces up to the empty one that ends a file, in place of what it holds."""
    try:
        for piece in pieces:
            if not piece:
                return
            write_whole(fd, piece)
    finally:
        end = os.lseek(fd, 0, os.SEEK_CUR)
        if os.fstat(fd).st_size > end:
            os.ftruncate(fd, end)
    raise Refused("EPIPE", "the upload ended inside a file")


def _write_one(path: str, pieces: Iterator[bytes], metadata: dict[str, str]) -> None:
    """Give a file its new content at once; where it cannot be replaced, piece by piece in place."""
    target = os.path.realpath(path)
    try:
        os.close(open_regular(target, os.O_WRONLY))  # or refuse what may not be written
    except FileNotFoundError:
        make_folders(os.path.dirname(target))
    try:
        draft = Draft(target)
    except OSError:
        fd = create_regular(target)
        try:
            _fill(fd, pieces)
            write_metadata(fd, metadata)
        finally:
            os.close(fd)
        return
    try:
        _fill(draft.fd, pieces)
        write_metadata(draft.fd, metadata)
        draft.publish()
    except BaseException:
        draft.discard()
        raise
    finally:
        os.close(draft.fd)


def do_write(request: Request) -> Reply:
    """Fill files from the given pipe: for each its path, its content in pieces, an empty piece.

    Parents are made, content and metadata are replaced. The first failure ends it; what was
    written before stays, as with envd.
    """
    metadata: dict[str, str] = request["metadata"]
    written: dict[str, dict[str, str]] = {}
    pieces = _pieces(request["fds"][0])
    for name in pieces:
        path = resolve(os.fsdecode(name))
        if path in written:
            text = f"you cannot upload multiple files to the same path '{path}' in one upload"
            raise Refused("EINVAL", f"{text} request, only the first specified file was uploaded")
        _write_one(path, pieces, metadata)
        written[path] = metadata_of(path) if metadata else {}
    return {"written": written}


def do_compose(request: Request) -> Reply:
    """Join files into one that appears whole, then delete the parts."""
    target = resolve(request["target"])
    sources = [resolve(path) for path in request["sources"]]
    for path, given in zip(sources, request["sources"], strict=True):
        if path == target:
            raise Refused("EINVAL", f'source path "{given}" cannot be the same as destination')
        if not os.path.exists(path):
            raise Refused("ENOENT", f"source file not found: {given}")
        if not os.path.isfile(path):
            raise Refused("EINVAL", f"source path is not a regular file: {given}")
    draft = f"{target}.e2b-compose.{os.urandom(8).hex()}.tmp"
    writer = create_regular(draft)
    try:
        for path in sources:
            reader = open_regular(path, os.O_RDONLY)
            try:
                while os.sendfile(writer, reader, None, CHUNK):
                    pass
            finally:
                os.close(reader)
        os.rename(draft, target)
    except BaseException:
        try:
            os.unlink(draft)
        except FileNotFoundError:
            pass
        raise
    finally:
        os.close(writer)
    for path in set(sources):
        os.unlink(path)
    return {"entry": entry_of(target)}
