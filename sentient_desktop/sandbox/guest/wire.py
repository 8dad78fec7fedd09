"""The agent's end of the channel: frames, descriptors, and a JSON codec of C functions.

Importing json, socket and threading would double a desktop's start-up time, so this uses the C
modules beneath them; ``encode`` covers the values the agent really sends.
"""

import _json
import _socket
import _thread
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing and collections would take as long as all the rest together
    from typing import Any

FRAME_LIMIT = 16 << 20
CHUNK = 1 << 18
MSG_CMSG_CLOEXEC = 0x40000000

Request = dict[str, "Any"]
Reply = dict[str, "Any"]


class Refused(Exception):
    """An operation that is answered with an error of our own wording, under a POSIX name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class _Scanner:
    """What the C scanner expects of a JSONDecoder."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}


_scan = _json.make_scanner(_Scanner())  # type: ignore[arg-type]


def decode(text: str) -> "Any":
    """Decode what the host sent, which is always well-formed."""
    return _scan(text, 0)[0]


def encode(value: "Any") -> str:
    """Encode texts, numbers, booleans, None, lists and dicts with text keys."""
    if isinstance(value, str):
        return str(_json.encode_basestring_ascii(value))
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{encode(k)}:{encode(v)}" for k, v in value.items()]) + "}"
    return "[" + ",".join([encode(item) for item in value]) + "]"


class Channel:
    """The only way in and out. Frames are read by the main thread and written by any."""

    def __init__(self, fd: int) -> None:
        self.socket = _socket.socket(fileno=fd)
        self.socket.setblocking(True)
        self._inbox = bytearray()
        self._fds: list[int] = []
        self._lock = _thread.allocate_lock()

    def receive(self) -> list[Request]:
        """Read what is there; return the complete requests, each with its own descriptors."""
        space = _socket.CMSG_SPACE(16 * 4)
        data, ancillary, _, _ = self.socket.recvmsg(CHUNK, space, MSG_CMSG_CLOEXEC)
        for level, kind, payload in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                self._fds += memoryview(payload).cast("i").tolist()
        if not data:
            os._exit(0)  # the host is gone, and with it the reason to be
        self._inbox += data
        requests = []
        while len(self._inbox) >= 4:
            end = 4 + int.from_bytes(self._inbox[:4], "big")
            if len(self._inbox) < end:
                break
            request = decode(str(self._inbox[4:end], "utf-8"))
            del self._inbox[:end]
            count = request["fds"]
            request["fds"], self._fds = self._fds[:count], self._fds[count:]
            requests.append(request)
        return requests

    def send(self, message: Reply) -> None:
        """Send a frame; an answer beyond the limit becomes an error saying so."""
        frame = encode(message).encode("ascii")
        if len(frame) > FRAME_LIMIT:
            text = f"the answer is larger than {FRAME_LIMIT} bytes"
            frame = encode({"id": message.get("id"), "error": "EMSGSIZE", "message": text}).encode()
        with self._lock:
            self.socket.sendall(len(frame).to_bytes(4, "big") + frame)
