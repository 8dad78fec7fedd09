"""Carrying bytes between sockets of the desktop and descriptors of the host's, in one thread.

However many connections there are, they cost one thread and no memory beyond what one read takes:
a direction whose receiver is slow is simply not read any more.
"""

# pathlib and contextlib would cost more start-up time than everything here together.

import _socket
import _thread
import os
import select

from sentient_desktop.sandbox.guest.wire import Channel, Refused, Reply, Request

PAIR_LIMIT = 256
"""Connections carried at once, both kinds together; each is two descriptors."""

PENDING_LIMIT = 64
"""Accepted connections the host has been told of and has not answered yet."""

BACKLOG = 128
CONNECT_TIMEOUT_S = 5.0
CHUNK = 1 << 16
TURN = 16
"""Reads and writes of one direction before the others have their turn."""


class _Flow:
    """One direction of a pair: what was read from ``source`` and not yet taken by ``sink``."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink
        self.data = b""
        self.ended = False

    def pump(self) -> bool:
        """Move what can be moved without waiting; False when the direction is finished."""
        for _ in range(TURN):
            if self.ended and not self.data:
                return False
            try:
                if self.data:
                    self.data = self.data[os.write(self.sink, self.data) :]
                else:
                    self.data = os.read(self.source, CHUNK)
                    self.ended = not self.data
            except BlockingIOError:
                break
        return True


class _Pair:
    """A connection inside and its host end, with a flow each way."""

    def __init__(self, inside: _socket.socket, host: int) -> None:
        self.inside, self.host = inside, host
        os.set_blocking(host, False)
        inside.setblocking(False)
        number = inside.fileno()
        self.flows = [_Flow(number, host), _Flow(host, number)]
        self.ends = [number, host]
        self.watched: set[int] = set()

    def pump(self) -> bool:
        """Move bytes both ways; False when both directions are finished or one is broken."""
        try:
            for flow in list(self.flows):
                if not flow.pump():
                    self.flows.remove(flow)
                    _shut_down_writing(flow.sink)
        except OSError:
            return False
        return bool(self.flows)

    def interest(self, end: int) -> int:
        """What to wait for on one of the ends: data while the other takes it, room when not."""
        events = 0
        for flow in self.flows:
            if flow.source == end and not flow.data and not flow.ended:
                events |= select.EPOLLIN
            if flow.sink == end and flow.data:
                events |= select.EPOLLOUT
        return events

    def close(self) -> None:
        """Close both ends."""
        self.inside.close()
        os.close(self.host)


def _shut_down_writing(fd: int) -> None:
    """Pass an end of stream on; both kinds of ends are sockets."""
    copy = _socket.socket(fileno=os.dup(fd))
    try:
        copy.shutdown(_socket.SHUT_WR)
    except OSError:
        pass
    finally:
        copy.close()


class Relay:
    """The connections of one desktop. Operations come from the agent, bytes move in a thread."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._poller = select.epoll()
        self._pairs: dict[int, _Pair] = {}
        self._lock = _thread.allocate_lock()
        self._started = False
        self._listener: _socket.socket | None = None
        self._pending: dict[int, _socket.socket] = {}
        self._count = 0

    def do_connect(self, request: Request) -> Reply:
        """Connect to a port of the desktop's own loopback and carry it to the given socket."""
        self._require_room()
        inside = _connect(request["port"])
        self._carry(inside, os.dup(request["fds"][0]))
        return {}

    def do_listen(self, request: Request) -> Reply:
        """Offer the way out on a port of loopback; every connection to it is announced."""
        if self._listener is None:
            listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            try:
                listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", request["port"]))
                listener.listen(BACKLOG)
            except OSError:
                listener.close()
                raise
            listener.setblocking(False)
            self._start()
            self._listener = listener
            self._poller.register(listener.fileno(), select.EPOLLIN)
        return {}

    def do_adopt(self, request: Request) -> Reply:
        """Carry an announced connection to the given socket, or close it if there is none."""
        with self._lock:
            inside = self._pending.pop(request["number"], None)
        if inside is not None:
            if request["fds"]:
                self._carry(inside, os.dup(request["fds"][0]))
            else:
                inside.close()
            self._watch_listener()
        return {}

    def _require_room(self) -> None:
        if len(self._pairs) >= 2 * PAIR_LIMIT:
            raise Refused("EMFILE", f"{PAIR_LIMIT} connections are open already")

    def _start(self) -> None:
        if not self._started:
            try:
                _thread.start_new_thread(self._run, ())
            except RuntimeError:
                raise Refused("EAGAIN", "the process table is full") from None
            self._started = True

    def _carry(self, inside: _socket.socket, host: int) -> None:
        pair = _Pair(inside, host)
        try:
            self._require_room()
            self._start()
        except Refused:
            pair.close()
            raise
        with self._lock:
            for end in pair.ends:
                self._pairs[end] = pair
                self._watch(pair, end)

    def _run(self) -> None:
        while True:
            for fd, _ in self._poller.poll():
                if self._listener is not None and fd == self._listener.fileno():
                    self._accept()
                    continue
                with self._lock:
                    pair = self._pairs.get(fd)
                    if pair is not None:
                        self._move(pair)
                if pair is not None:
                    self._watch_listener()

    def _move(self, pair: _Pair) -> None:
        if pair.pump():
            for end in pair.ends:
                self._watch(pair, end)
            return
        for end in pair.ends:
            if end in pair.watched:
                self._poller.unregister(end)
            del self._pairs[end]
        pair.close()

    def _watch(self, pair: _Pair, end: int) -> None:
        """Wait for what an end is needed for; one not needed is left out, or its hang-up spins."""
        events = pair.interest(end)
        if end not in pair.watched:
            if events:
                self._poller.register(end, events)
                pair.watched.add(end)
        elif events:
            self._poller.modify(end, events)
        else:
            self._poller.unregister(end)
            pair.watched.discard(end)

    def _accept(self) -> None:
        assert self._listener is not None
        if self._is_full():
            self._watch_listener()
            return
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        self._count += 1
        with self._lock:
            self._pending[self._count] = _socket.socket(fileno=fd)
        self._channel.send({"egress": self._count})

    def _is_full(self) -> bool:
        return len(self._pending) >= PENDING_LIMIT or len(self._pairs) >= 2 * PAIR_LIMIT

    def _watch_listener(self) -> None:
        """Accept no more while full: what waits then waits in the kernel, or is refused there."""
        if self._listener is not None:
            self._poller.modify(self._listener.fileno(), 0 if self._is_full() else select.EPOLLIN)


def _connect(port: int) -> _socket.socket:
    failure: OSError | None = None
    for family, address in ((_socket.AF_INET, "127.0.0.1"), (_socket.AF_INET6, "::1")):
        try:
            inside = _socket.socket(family, _socket.SOCK_STREAM)
        except OSError:
            continue  # no IPv6 here
        try:
            inside.settimeout(CONNECT_TIMEOUT_S)
            inside.connect((address, port))
        except OSError as error:
            inside.close()
            failure = failure or error
        else:
            inside.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            return inside
    raise failure or Refused("ECONNREFUSED", f"nothing listens on port {port}")
