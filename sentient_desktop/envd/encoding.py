"""gzip bodies in both directions, as streams of bounded pieces.

Source: E2B envd ``internal/api/encoding.go``; the messages are its own.
"""

import zlib
from collections.abc import AsyncIterator, Mapping

from sentient_desktop.errors import ApiError

PIECE_BYTES = 1 << 18
LEVEL = 1
"""Loopback is faster than any better compression."""


def _qualities(header: str) -> list[tuple[str, float]]:
    found = []
    for item in header.split(","):
        name, *parameters = item.strip().lower().split(";")
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.strip().partition("=")
            if key == "q":
                try:
                    quality = float(value)
                except ValueError:
                    continue
        found.append((name.strip(), quality))
    return sorted(found, key=lambda pair: -pair[1])


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    """Return whether an answer should be gzip rather than plain.

    Raises:
        ApiError: 406 when the client takes neither.
    """
    header = headers.get("accept-encoding", "")
    if not header:
        return False
    qualities = _qualities(header)
    given = dict(qualities)
    plain_refused = given.get("identity", given.get("*", 1.0)) == 0
    for name, quality in qualities:
        if quality > 0 and name in ("gzip", "identity", "*"):
            return name == "gzip" or (name == "*" and plain_refused)
    if plain_refused:
        text = "error parsing Accept-Encoding: no acceptable encoding found, supported: [gzip]"
        raise ApiError(406, text)
    return False


async def decoded(headers: Mapping[str, str], body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a request's body unpacked, never more than ``PIECE_BYTES`` at once.

    Raises:
        ApiError: 400 for another encoding, or a body that is not what it claims.
    """
    encoding = headers.get("content-encoding", "identity").partition(";")[0].strip().lower()
    if encoding not in ("", "identity", "gzip"):
        text = f"unsupported Content-Encoding: {encoding}, supported: [gzip]"
        raise ApiError(400, f"error decompressing request body: {text}")
    if encoding != "gzip":
        async for chunk in body:
            yield chunk
        return
    inflate = zlib.decompressobj(wbits=31)
    try:
        async for chunk in body:
            left = chunk
            while left:
                if inflate.eof:  # gzip bodies may follow one another
                    inflate = zlib.decompressobj(wbits=31)
                if data := inflate.decompress(left, PIECE_BYTES):
                    yield data
                left = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    except zlib.error as error:
        raise ApiError(400, f"error decompressing request body: {error}") from error
    if not inflate.eof:
        raise ApiError(400, "error decompressing request body: unexpected EOF")


async def encoded(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a body packed."""
    deflate = zlib.compressobj(LEVEL, wbits=31)
    async for chunk in body:
        if data := deflate.compress(chunk):
            yield data
    yield deflate.flush()
