"""A Python context inside a desktop: a real ipykernel whose messages travel over two pipes.

Requests arrive as JSON lines on descriptor 3 and events leave as JSON lines on descriptor 4, so
there is no socket, no port and no second process between the host and the kernel. What the code
prints stays on descriptors 1 and 2, which the host reads as they are: the output of subprocesses
and of C code included.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
from types import SimpleNamespace

# Only editors use these, and without them a kernel starts much sooner; code may import them later.
EDITORS = ("debugpy", "jedi", "parso")
sys.modules.update(dict.fromkeys(EDITORS))
os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")

from formatters import install_formatters
from ipykernel.ipkernel import IPythonKernel
from jupyter_client.jsonutil import json_default
from jupyter_client.session import Session
from traitlets.config import Config

REQUESTS_FD, EVENTS_FD = 3, 4
LINE_LIMIT = 16 << 20
FLUSH_S = 0.1
"""How long output without a newline may wait while code runs."""


def open_output(fd: int):
    """Open a text stream that writes whole lines at once."""
    return open(fd, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def send_event(event: dict) -> None:
    """Write one line, after everything printed before it."""
    sys.stdout.flush()
    sys.stderr.flush()
    line = json.dumps(event, default=json_default).encode()
    if len(line) > LINE_LIMIT:
        text = f"the result takes {len(line)} bytes, more than {LINE_LIMIT}"
        line = json.dumps({"event": "error", "name": "ResultTooLarge", "value": text}).encode()
    line += b"\n"
    while line:
        line = line[os.write(EVENTS_FD, line) :]


class PipeSession(Session):
    """The one place all messages of a kernel pass; those a client must see become events."""

    def send(self, stream, msg_or_type, content=None, parent=None, *args, **kwargs):
        """Turn a message into an event instead of putting it on a socket."""
        if isinstance(msg_or_type, dict):
            message = msg_or_type
        else:
            message = self.msg(msg_or_type, content, parent=parent)
        kind, content = message["header"]["msg_type"], message["content"]
        if kind in ("display_data", "execute_result"):
            main = kind == "execute_result"
            send_event({"event": "result", "main": main, "data": content["data"]})
        elif kind == "error":
            send_event({
                "event": "error",
                "name": content["ename"],
                "value": content["evalue"],
                "traceback": "\n".join(content["traceback"]),
            })  # fmt: skip
        return message


class PipeKernel(IPythonKernel):
    """An ipykernel without sockets."""

    def _publish_status(self, *_args, **_kwargs):
        pass

    def _publish_execute_input(self, *_args, **_kwargs):
        pass

    def _abort_queues(self, *_args, **_kwargs):
        pass

    async def run(self, code: str, number: int) -> None:
        """Execute a cell as a shell request would; everything it shows is sent on the way."""
        message = self.session.msg(
            "execute_request",
            {"code": code, "silent": False, "store_history": True, "allow_stdin": False},
        )
        message["metadata"] = {"cellId": str(number)}
        self.set_parent([], message, channel="shell")
        self.pre_handler_hook()
        try:
            await self.execute_request(None, [], message)
        except (KeyboardInterrupt, asyncio.CancelledError):
            pass  # between the cell and its bookkeeping: the cell is over either way
        finally:
            self.post_handler_hook()


class Flusher:
    """Flushes half lines while code runs; asleep otherwise."""

    def __init__(self) -> None:
        self.running = threading.Event()
        threading.Thread(target=self._flush_forever, daemon=True).start()

    def _flush_forever(self) -> None:
        pause = threading.Event()
        while self.running.wait():
            pause.wait(FLUSH_S)
            for stream in (sys.__stdout__, sys.__stderr__):
                stream.flush()


def make_kernel() -> PipeKernel:
    """Start IPython in the user's namespace, without its colours, history file or completer."""
    config = Config()
    config.InteractiveShell.colors = "NoColor"
    config.HistoryManager.enabled = False
    config.PlainTextFormatter.max_seq_length = 0
    kernel = PipeKernel.instance(
        config=config, session=PipeSession(config=config), log=logging.getLogger("kernel")
    )
    kernel.shell_channel_thread = SimpleNamespace(parent_thread=threading.current_thread())
    install_formatters(kernel.shell)
    return kernel


async def serve(kernel: PipeKernel) -> None:
    """Execute requests one after the other until the host closes the pipe."""
    loop = asyncio.get_running_loop()
    # An interrupt must wake a loop that waits; tornado's own does so from other threads only.
    kernel.io_loop = SimpleNamespace(add_callback=loop.call_soon_threadsafe)
    requests = asyncio.StreamReader(limit=2 * LINE_LIMIT)
    pipe = os.fdopen(REQUESTS_FD, "rb", buffering=0)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), pipe)
    flusher = Flusher()
    while line := await requests.readline():
        request = json.loads(line)
        kept = {name: os.environ.get(name) for name in request["env"]}
        os.environ.update(request["env"])
        flusher.running.set()
        try:
            await kernel.run(request["code"], request["number"])
        finally:
            flusher.running.clear()
            restore_environment(kept)
        send_event({"event": "end"})


def restore_environment(kept: dict) -> None:
    """Put back the variables one execution had of its own."""
    for name, value in kept.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def main() -> None:
    """Run until the host goes away."""
    os.set_inheritable(REQUESTS_FD, False)
    os.set_inheritable(EVENTS_FD, False)
    sys.stdout = sys.__stdout__ = open_output(1)
    sys.stderr = sys.__stderr__ = open_output(2)
    sys.path[0] = ""
    sys.argv = ["ipykernel"]
    kernel = make_kernel()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in EDITORS:
        sys.modules.pop(name, None)
    send_event({"event": "ready"})
    asyncio.run(serve(kernel))


if __name__ == "__main__":
    main()
