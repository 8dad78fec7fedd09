"""Answers what an installer in a desktop asks for: pages of the user's indexes and their files.

An installer can name a project, or a file that one of these pages listed; there is nothing else
it could reach. Credentials are added here and go to their index's own server alone.
"""

import asyncio
import json
import re
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from tools.environment.indexes import Index
from tools.environment.pages import (
    ACCEPT,
    JSON,
    NPM_ACCEPT,
    PageError,
    read_package,
    read_page,
    write_page,
)

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
NPM_NAME = re.compile(r"(@[A-Za-z0-9._~-]{1,100}%2[fF])?[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}")
PAGE_LIMIT = 64 << 20

TOTAL_LIMIT = 16 << 30
"""Bytes of all files for one desktop."""

BINARY = "application/octet-stream"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; a body that is a file stays until the service's folder goes."""

    status: int
    body: bytes | Path = b""
    kind: str = "text/plain; charset=utf-8"


class _RefusedError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class PackageService:
    """For one desktop. `troubles` says in words which index failed, and how."""

    def __init__(self, indexes: Sequence[Index], registry: Index, folder: Path) -> None:
        """Fetch from Python's `indexes` and npm's `registry`; files go through `folder`."""
        self._indexes, self._registry, self._folder = indexes, registry, folder
        self.address = ""
        """Where it is to be found by who asks: npm takes no relative addresses."""
        self._files: list[tuple[Index, str]] = []
        self._numbers: dict[str, int] = {}
        self._fetching: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._left = TOTAL_LIMIT
        self._silent: set[str] = set()
        self.troubles: list[str] = []
        self._client = httpx.AsyncClient(
            verify=ssl.create_default_context(),
            follow_redirects=True,
            timeout=httpx.Timeout(60, connect=10),
            headers={"User-Agent": "sentient-core"},
            event_hooks={"request": [self._check]},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def answer(self, path: str) -> Answer:
        """Answer `/INDEX/PROJECT/`, `/npm/PACKAGE`, and `/file/NUMBER/NAME` as these say."""
        try:
            match path.strip("/").split("/"):
                case ["file", number, name] if number.isdecimal():
                    return await self._file(int(number), name)
                case ["npm", package] if NPM_NAME.fullmatch(package):
                    return await self._package(package)
                case [number, project] if number.isdecimal() and NAME.fullmatch(project):
                    return await self._page(int(number), project)
        except _RefusedError as error:
            if error.status != 404 and str(error) not in self.troubles:
                self.troubles.append(str(error))
            return Answer(error.status, f"{error}\n".encode())
        except OSError as error:
            self.troubles.append(f"files of packages cannot be kept: {error}")
            return Answer(507, b"no room\n")
        return Answer(404, b"no such thing\n")

    async def _page(self, number: int, project: str) -> Answer:
        if number >= len(self._indexes):
            raise _RefusedError(404, "no such index")
        index = self._indexes[number]
        kind, body, url = await self._read(index, f"{index.url}{project}/", ACCEPT)
        try:
            listed = read_page(kind, body, url)
        except PageError as error:
            raise _RefusedError(502, str(error)) from error
        files = [
            {**file, "url": self._offer(index, file["url"], file["filename"])} for file in listed
        ]
        return Answer(200, write_page(project, files), JSON)

    async def _package(self, name: str) -> Answer:
        registry = self._registry
        kind, body, url = await self._read(registry, f"{registry.url}{name}", NPM_ACCEPT)
        try:
            page = read_package(body, url)
        except PageError as error:
            raise _RefusedError(502, str(error)) from error
        for found in page["versions"].values():
            tarball = found["dist"]["tarball"]
            offered = self._offer(registry, tarball, tarball.rpartition("/")[2])
            found["dist"]["tarball"] = self.address + offered
        return Answer(200, json.dumps(page).encode(), kind)

    async def _read(self, index: Index, url: str, accept: str) -> tuple[str, bytes, str]:
        """A page's kind, its bytes, and where it was found in the end."""
        body = bytearray()
        async with self._open(index, url, {"Accept": accept}) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > PAGE_LIMIT:
                    raise _RefusedError(502, f"{response.url} is larger than {PAGE_LIMIT} bytes")
            return response.headers.get("content-type", ""), bytes(body), str(response.url)

    def _offer(self, index: Index, url: str, name: str) -> str:
        """Give a file an address of ours; the same file has the same one each time."""
        number = self._numbers.setdefault(url, len(self._files))
        if number == len(self._files):
            self._files.append((index, url))
        return f"/file/{number}/{name}"

    async def _file(self, number: int, name: str) -> Answer:
        if number >= len(self._files):
            raise _RefusedError(404, "no index listed such a file")
        index, url = self._files[number]
        kind = ".metadata" if name.endswith(".metadata") else ""
        target = self._folder / f"{number}{kind}"
        async with self._fetching[target]:
            if not await asyncio.to_thread(target.exists):
                await self._fetch(index, url + kind, target)
        return Answer(200, target, BINARY)

    async def _fetch(self, index: Index, url: str, target: Path) -> None:
        draft = target.with_suffix(".part")
        async with self._open(index, url, {"Accept-Encoding": "identity"}) as response:
            with draft.open("wb") as file:
                async for chunk in response.aiter_bytes(1 << 20):
                    self._left -= len(chunk)
                    if self._left < 0:
                        raise _RefusedError(507, f"more than {TOTAL_LIMIT >> 30} GiB of packages")
                    await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(draft.rename, target)

    @asynccontextmanager
    async def _open(
        self, index: Index, url: str, headers: dict[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """Ask for an address; credentials go with it if it is on the index's own server."""
        server = httpx.URL(url).netloc.decode()
        if server in self._silent:
            raise _RefusedError(503, f"{server} does not answer")
        if index.authorization and index.is_at(url):
            headers = {**headers, "Authorization": index.authorization}
        try:
            async with self._client.stream("GET", url, headers=headers) as response:
                if response.status_code != 200:
                    text = f"{index.url} answers {response.status_code} for {response.url.path}"
                    raise _RefusedError(response.status_code, text)
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self._silent.add(server)  # asked once; an installer would try again and again
            raise _RefusedError(503, f"{server} does not answer: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _RefusedError(502, f"{server}: {type(error).__name__} {error}") from error

    async def _check(self, request: httpx.Request) -> None:
        """Judge where a link or a redirection leads, each hop of it."""
        url = str(request.url)
        own = any(index.is_at(url) for index in (*self._indexes, self._registry))
        if request.url.scheme != "https" and not own:
            raise _RefusedError(403, f"an index leads to {request.url.scheme}://{request.url.host}")
