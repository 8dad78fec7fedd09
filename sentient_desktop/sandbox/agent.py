"""Pid 1 of a desktop: starts commands, reaps everything, and carries out the file API inside.

Runs under bubblewrap with the guest's own uid: whoever reads its replies must treat them as
hostile. It stays on C modules of the standard library, because its start-up is most of a
desktop's.

Requests arrive on the inherited socket as ``length (4 bytes, big endian) + JSON``, with file
descriptors attached to their first byte: the ends of pipes whose other ends the host holds. So
output flows from a command to the host without passing through here, and the pipe is the
backpressure. Replies use the same frame: ``{"id", ...}`` for an answer, ``{"exit": pid, "status"}``
for the end of a process, ``{"egress": number}`` for a connection to the way out.
"""

import _signal  # type: ignore[import-not-found]
import _thread
import errno
import os
import resource
import select
import sys
from _collections_abc import Callable  # collections itself would be imported for it

from sentient_desktop.sandbox.guest.files import OPERATIONS
from sentient_desktop.sandbox.guest.processes import Processes, call_libc
from sentient_desktop.sandbox.guest.relay import Relay
from sentient_desktop.sandbox.guest.transfers import do_compose, do_read, do_write, sweep_drafts
from sentient_desktop.sandbox.guest.watching import Watches
from sentient_desktop.sandbox.guest.wire import Channel, Refused, Reply, Request

SPARE_PROCESSES = 32
"""Threads the agent may still start when the guest has used up its own bound."""

_PR_SET_DUMPABLE = 4

Handler = Callable[[Request], Reply | None]


def _refuse(request: Request) -> Reply:
    raise Refused("ENOSYS", f"{request['op']} is not an operation")


class Agent:
    """The main loop and its two kinds of work: quick calls inline, file work in threads."""

    def __init__(self, channel: Channel, processes: Processes) -> None:
        self._channel = channel
        self._processes = processes
        self._poller = select.poll()
        self._watches = Watches(channel, self._poller)
        relay = Relay(channel)
        self._inline: dict[str, Handler] = {
            "spawn": processes.do_spawn,
            "resize": processes.do_resize,
            "signal": processes.do_signal,
            "kill_tree": processes.do_kill_tree,
            "drain": processes.do_drain,
            "watch": self._watches.do_watch,
            "take": self._watches.do_take,
            "unwatch": self._watches.do_unwatch,
            "listen": relay.do_listen,
            "adopt": relay.do_adopt,
            "ping": lambda _request: {},
        }
        self._threaded: dict[str, Handler] = {
            **OPERATIONS,
            "compose": do_compose,
            "write": do_write,
            "read": lambda request: do_read(request, channel),
            "connect": relay.do_connect,
        }

    def _answer(self, handler: Handler, request: Request) -> None:
        reply: Reply | None
        try:
            reply = handler(request)
        except Refused as error:
            reply = {"error": error.name, "message": str(error)}
        except OSError as error:
            reply = {"error": errno.errorcode.get(error.errno or 0, "EIO"), "message": str(error)}
        except Exception as error:
            # Whatever the request was: this is pid 1, and with it everything in here would end.
            reply = {"error": "EINVAL", "message": f"{type(error).__name__}: {error}"}
        finally:
            for fd in request["fds"]:
                os.close(fd)
        if reply is not None:
            self._channel.send({"id": request["id"], **reply})

    def _dispatch(self, request: Request) -> None:
        handler = self._threaded.get(request["op"])
        if handler is None:
            self._answer(self._inline.get(request["op"], _refuse), request)
            return
        try:
            _thread.start_new_thread(self._answer, (handler, request))
        except RuntimeError:
            self._answer(handler, request)  # the process table is full; slower, but it works

    def run(self) -> None:
        """Serve until the host closes the channel, which ends the process."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        _signal.signal(_signal.SIGCHLD, lambda _number, _frame: None)
        _signal.set_wakeup_fd(writer)
        control = self._channel.socket.fileno()
        self._poller.register(control, select.POLLIN)
        self._poller.register(reader, select.POLLIN)
        self._channel.send({"ready": True})
        while True:
            ready = [fd for fd, _ in self._poller.poll()]
            for fd in ready:
                if fd not in (reader, control):
                    self._watches.on_readable(fd)
            if reader in ready:
                os.read(reader, 4096)
                self._processes.reap()
            if control in ready:  # last: a request may end a watch that was just read
                for request in self._channel.receive():
                    self._dispatch(request)


def main() -> None:
    """Close ourselves off, set the limits children inherit, and serve.

    Arguments: control descriptor, processes, open files, bytes per file.
    """
    control, processes, files, file_bytes = (int(argument) for argument in sys.argv[1:5])
    # Shuts this process's memory and descriptors to the guest, which has the same uid.
    call_libc("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.set_inheritable(control, False)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    bound = processes + SPARE_PROCESSES
    resource.setrlimit(resource.RLIMIT_NPROC, (bound, bound))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sweep_drafts()
    channel = Channel(control)
    Agent(channel, Processes(channel, processes)).run()
