"""Creating a desktop once however often a client asks: answers kept under their Idempotency-Key.

Each owner's keys name one creation each for as long as the server lives. A creation that failed is
forgotten, so that asking again tries again.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

from sentient_desktop.errors import ApiError

HEADER = "idempotency-key"
KEY_LIMIT = 255
REMEMBERED = 16_384
"""Beyond this many keys the oldest is forgotten."""

Answer = dict[str, Any]


class Replays:
    """Answers by key, those still being made included. Lives on the event loop's thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[bytes, asyncio.Task[Answer]]] = {}

    async def once(
        self, key: str, owner: str, body: Answer, make: Callable[[], Coroutine[Any, Any, Answer]]
    ) -> Answer:
        """Return the answer to the first request with this key, making it if this is the first.

        Raises:
            ApiError: 400 for a key that is too long, 409 when the key came with another body.
        """
        if len(key) > KEY_LIMIT:
            raise ApiError(400, f"{HEADER} is longer than {KEY_LIMIT} characters")
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
        if known := self._known.get((owner, key)):
            if known[0] != digest:
                text = f"{HEADER} '{key}' was used for a request with another body"
                raise ApiError(409, text, retryable=False)
            return await asyncio.shield(known[1])
        making = asyncio.create_task(make())
        self._known[owner, key] = digest, making
        making.add_done_callback(lambda task: self._settle((owner, key), task))
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return await asyncio.shield(making)

    def _settle(self, key: tuple[str, str], task: asyncio.Task[Answer]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and (known := self._known.get(key)) and known[1] is task:
            del self._known[key]
