"""The file system of a desktop: reading, writing one and many, listing."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from e2b import EntryInfo
from e2b_code_interpreter import AsyncSandbox

from tools.desktop_errors import translated
from tools.errors import ToolError
from tools.sink import Sink

READ_LIMIT = 64 << 20
"""Bytes of a file that are read unless the caller names a limit; a desktop is hostile."""

PART_BYTES = 8 << 20
"""Bytes of one request of an upload."""


def _read_part(source: Path, number: int) -> bytes:
    with source.open("rb") as stream:
        stream.seek(number * PART_BYTES)
        return stream.read(PART_BYTES)


class DesktopFiles:
    """Files of one desktop. Relative paths start at the home folder, `/home/user`."""

    def __init__(self, sandbox: AsyncSandbox, sink: Sink) -> None:
        self._files, self._sink = sandbox.files, sink

    async def read_file(self, path: str, limit: int = READ_LIMIT) -> str:
        """Read a text file; bytes that are not UTF-8 come out as U+FFFD. See `read_bytes`."""
        return (await self.read_bytes(path, limit)).decode("utf-8", "replace")

    async def read_bytes(self, path: str, limit: int = READ_LIMIT) -> bytes:
        """Read a file, without secrets and without holding more than `limit` bytes and one chunk.

        Raises:
            ToolError: there is no such file, or it is larger.
        """
        data = await self.read_unchanged(path, limit)
        return await asyncio.to_thread(self._sink.data, data) if self._sink else data

    async def read_unchanged(self, path: str, limit: int = READ_LIMIT) -> bytes:
        """Read a file as it is, for who looks for secrets himself.

        Raises:
            ToolError: there is no such file, or it is larger.
        """
        data = bytearray()
        with translated(f"read {path}"):
            stream = await self._files.read(path, format="stream")
            async with stream:
                async for chunk in stream:
                    data += chunk
                    if len(data) > limit:
                        raise ToolError(f"{path} is larger than {limit} bytes")
        return bytes(data)

    async def write_file(self, path: str, data: str | bytes) -> None:
        """Write one file, replacing it; missing folders are made."""
        with translated(f"write {path}"):
            await self._files.write(path, data)

    async def write_files(self, files: Mapping[str, str | bytes]) -> None:
        """Write many files (path to content) in one request."""
        with translated(f"write {len(files)} files"):
            await self._files.write_files(
                [{"path": path, "data": data} for path, data in files.items()]
            )

    async def upload(self, path: str, source: Path) -> None:
        """Send a local file in parts `path.0000`, `path.0001`, …, never holding more than one."""
        size = (await asyncio.to_thread(source.stat)).st_size
        for number in range(max(1, -(-size // PART_BYTES))):
            part = await asyncio.to_thread(_read_part, source, number)
            with translated(f"upload {source.name}"):
                await self._files.write(f"{path}.{number:04d}", part)

    async def list_dir(self, path: str, *, depth: int = 1) -> list[EntryInfo]:
        """List a folder, `depth` levels deep."""
        with translated(f"list {path}"):
            return await self._files.list(path, depth=depth)

    async def exists(self, path: str) -> bool:
        """Whether anything is at `path`."""
        with translated(f"look for {path}"):
            return await self._files.exists(path)

    async def rename(self, path: str, to: str) -> None:
        """Give a file another name, at once or not at all; replaces what has that name.

        Raises:
            ToolError: there is no such file.
        """
        with translated(f"rename {path}"):
            await self._files.rename(path, to)

    async def remove(self, path: str) -> None:
        """Delete a file or a whole folder."""
        with translated(f"remove {path}"):
            await self._files.remove(path)
