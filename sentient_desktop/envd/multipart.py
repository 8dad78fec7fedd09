"""Multipart bodies as a stream of parts, so that uploads need neither memory nor scratch files."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from sentient_desktop.errors import ApiError

_Token = tuple[str, bytes]


class _Tokens:
    """Turns the parser's callbacks into a queue of (kind, data)."""

    def __init__(self, boundary: bytes) -> None:
        self.queue: deque[_Token] = deque()
        self._field = bytearray()
        self._value = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": lambda: self.queue.append(("part", b"")),
                "on_part_data": self._on_data,
                "on_part_end": lambda: self.queue.append(("end", b"")),
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
            },
        )

    def feed(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise ApiError(400, f"the multipart body is malformed: {error}") from error

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self.queue.append(("data", data[start:end]))

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self.queue.append(("disposition", bytes(self._value)))
        self._field.clear()
        self._value.clear()


@dataclass
class Part:
    """One part: its names at once, its content as it arrives."""

    source: "_Source"
    name: str = ""
    filename: str = ""
    finished: bool = field(default=False)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content; must be consumed before the next part is asked for."""
        while not self.finished:
            kind, data = await self.source.next()
            if kind == "data":
                yield data
            elif kind == "end":
                self.finished = True
            elif kind == "":
                raise ApiError(400, "the multipart body ends inside a part")


class _Source:
    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self._tokens = _Tokens(boundary)
        self._body = body

    async def next(self) -> _Token:
        """Return the next token, or ("", b"") at the end of the body."""
        while not self._tokens.queue:
            chunk = await anext(self._body, None)
            if chunk is None:
                return "", b""
            self._tokens.feed(chunk)
        return self._tokens.queue.popleft()


async def read_parts(content_type: str, body: AsyncIterator[bytes]) -> AsyncIterator[Part]:
    """Yield the parts of a multipart body in order.

    Raises:
        ApiError: 400 for a missing boundary or a malformed body.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise ApiError(400, "the multipart content type has no boundary")
    try:
        source = _Source(body, boundary)
    except FormParserError as error:
        raise ApiError(400, f"the multipart boundary is unusable: {error}") from error
    while True:
        kind, _ = await source.next()
        if kind == "":
            return
        if kind != "part":
            continue
        part = Part(source)
        kind, data = await source.next()
        if kind == "disposition":
            _, names = parse_options_header(data)
            part.name = names.get(b"name", b"").decode("utf-8", "replace")
            part.filename = names.get(b"filename", b"").decode("utf-8", "replace")
        yield part
        async for _ in part.chunks():
            pass  # whatever the consumer left
