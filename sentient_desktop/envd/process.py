"""envd's process service: start, find, feed, signal and follow commands.

Source: E2B envd ``process.Process``. A client's disconnect leaves the command running; the
deadline of the Start call (Connect-Timeout-Ms) kills it with everything it started. Output is
delivered to whoever is connected at the time, exit codes to late-comers too.
"""

import asyncio
import binascii
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from sentient_desktop.desktop import Desktop
from sentient_desktop.envd.commands import (
    Command,
    CommandSpec,
    CommandTable,
    End,
    Output,
    Subscription,
    follow,
)
from sentient_desktop.errors import RpcError
from sentient_desktop.rpc.codec import Message, decode_bytes
from sentient_desktop.rpc.fields import (
    read_flag,
    read_number,
    read_object,
    read_text,
    read_text_map,
    read_texts,
)
from sentient_desktop.rpc.service import Call, Service
from sentient_desktop.sandbox.pipes import close_all
from sentient_desktop.sandbox.runtime import command_environment

_KILLED = ": the sandbox was killed or reached its end of life"

REAP_S = 0.5
"""How long a kill waits at most until the command is really gone."""

_SIGNALS = {"SIGNAL_SIGTERM": signal.SIGTERM, "SIGNAL_SIGKILL": signal.SIGKILL}


def process_service(desktop: Desktop) -> Service:
    """Return the methods of ``process.Process`` for one desktop."""
    service = ProcessService(desktop)
    return Service(
        unary={
            "List": service.list,
            "SendInput": service.send_input,
            "SendSignal": service.send_signal,
            "CloseStdin": service.close_stdin,
            "Update": service.update,
        },
        server_streams={"Start": service.start, "Connect": service.connect},
        client_streams={"StreamInput": service.stream_input},
    )


class ProcessService:
    """The methods; messages are the JSON form of the protocol's."""

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop

    async def list(self, _call: Call, _message: Message) -> Message:
        """List running commands."""
        return {"processes": [_info(command) for command in self._desktop.commands.running()]}

    async def start(self, call: Call, message: Message) -> AsyncGenerator[Message | bytes]:
        """Start a command and follow it; its deadline holds even if the client goes away."""
        command = await self._start(message)
        with command.subscribed() as subscription:
            if call.timeout_s is not None:
                command.at_deadline(call.timeout_s, lambda: self._expire(command))
            async for reply in _stream(self._desktop, command, subscription, call, started=True):
                yield reply

    def _let_go(self, fds: Sequence[int]) -> None:
        self._desktop.when_awake(lambda: self._hand_over(fds), otherwise=lambda: close_all(fds))

    async def _hand_over(self, fds: Sequence[int]) -> None:
        """Leave the output of daemons to the agent: their writes go on, at the guest's expense."""
        try:
            if (jail := self._desktop.jail) is not None:
                await jail.channel.call("drain", fds=fds)
        finally:
            close_all(fds)

    def _expire(self, command: Command) -> None:
        command.expired = True
        self._desktop.when_awake(lambda: self._kill_tree(command))

    async def connect(self, call: Call, message: Message) -> AsyncGenerator[Message | bytes]:
        """Follow a command started earlier, from now on; an ended one just says how it ended."""
        command = self._find(message, ended=True)
        with command.subscribed() as subscription:
            try:
                async with asyncio.timeout(call.timeout_s):
                    async for reply in _stream(
                        self._desktop, command, subscription, call, started=False
                    ):
                        yield reply
            except TimeoutError:
                raise RpcError("deadline_exceeded", "the connection's time is up") from None

    async def send_input(self, _call: Call, message: Message) -> Message:
        """Write to a command's stdin or terminal."""
        await self._find(message).type(_input_of(message))
        return {}

    async def stream_input(self, _call: Call, messages: AsyncIterator[Message]) -> Message:
        """Write a stream of input to the command its first message names."""
        command: Command | None = None
        async for message in messages:
            if (start := read_object(message, "start")) is not None:
                command = self._find(start)
            elif (data := read_object(message, "data")) is not None:
                if command is None:
                    raise RpcError("invalid_argument", "the stream must begin with a start")
                await command.type(_input_of(data))
        return {}

    async def close_stdin(self, _call: Call, message: Message) -> Message:
        """Send end-of-file to a command."""
        self._find(message).close_stdin()
        return {}

    async def send_signal(self, _call: Call, message: Message) -> Message:
        """Signal a command's process group; SIGKILL takes its whole tree."""
        name = read_text(message, "signal")
        if name not in _SIGNALS:
            raise RpcError("invalid_argument", f"signal {name} is not one of {sorted(_SIGNALS)}")
        command = self._find(message)
        if name == "SIGNAL_SIGKILL":
            await self._kill_tree(command)
            await _see_end(command)
        else:
            jail = await self._desktop.ensure_booted()
            await jail.channel.call("signal", pid=command.pid, signal=int(_SIGNALS[name]))
        return {}

    async def update(self, _call: Call, message: Message) -> Message:
        """Resize a command's terminal."""
        command, pty = self._find(message), read_object(message, "pty") or {}
        if size := _size_of(pty):
            jail = await self._desktop.ensure_booted()
            await jail.channel.call("resize", pid=command.pid, pty=size)
        return {}

    def _find(self, message: Message, *, ended: bool = False) -> Command:
        selector = read_object(message, "process") or {}
        table: CommandTable = self._desktop.commands
        pid, tag = read_number(selector, "pid"), read_text(selector, "tag")
        return table.find(pid=pid, tag=tag, ended=ended)

    async def _kill_tree(self, command: Command) -> None:
        jail = await self._desktop.ensure_booted()
        await jail.channel.call("kill_tree", pid=command.pid, mark=command.mark)

    async def _start(self, message: Message) -> Command:
        spec, pty = _spec_of(message), read_object(message, "pty")
        size = None if pty is None else _size_of(pty)
        stdin = read_flag(message, "stdin", default=True)  # absent means with, as in old SDKs
        await self._desktop.ensure_booted()  # first: each boot has a table of its own
        with self._desktop.commands.starting():
            try:
                plumbing = _Plumbing.pipes(stdin=stdin) if pty is None else _Plumbing.terminal()
            except OSError as error:
                text = f"no descriptors are left for a command: {error.strerror}"
                raise RpcError("resource_exhausted", text) from error
            try:
                return await self._spawn(spec, plumbing, size)
            except BaseException:
                close_all(plumbing.ours)
                raise
            finally:
                close_all(plumbing.theirs)

    async def _spawn(
        self, spec: CommandSpec, plumbing: "_Plumbing", size: Message | None
    ) -> Command:
        jail = await self._desktop.ensure_booted()
        record, mark = self._desktop.record, secrets.token_hex(8)
        reply = await jail.channel.call(
            "spawn",
            fds=plumbing.theirs,
            argv=[spec.cmd, *spec.args],
            env=command_environment(record.id, record.template)
            | self._desktop.gate.environment
            | record.envs
            | spec.envs,
            cwd=spec.cwd or "",
            mark=mark,
            pty=size,
        )
        pid = reply.get("pid")
        if not isinstance(pid, int):
            raise RpcError("internal", "the agent did not report a pid")
        command = Command(pid, mark, spec, plumbing.streams, self._let_go)
        if plumbing.stdin is not None:
            command.give_stdin(plumbing.stdin)
        self._desktop.commands.add(command)
        return command


class _Plumbing:
    """The descriptors of one command: the guest's ends in stdio order, and ours by name."""

    def __init__(self, theirs: list[int], streams: dict[str, int], stdin: int | None) -> None:
        self.theirs = theirs
        self.streams = streams
        self.stdin = stdin

    @property
    def ours(self) -> list[int]:
        ends = set(self.streams.values())
        return list(ends if self.stdin is None else ends | {self.stdin})

    @classmethod
    def terminal(cls) -> "_Plumbing":
        """One socket both ways; the agent relays it to a terminal it opens inside."""
        ours, theirs = socket.socketpair()
        fd = ours.detach()
        return cls([theirs.detach()], {"pty": fd}, fd)

    @classmethod
    def pipes(cls, *, stdin: bool) -> "_Plumbing":
        """A pipe for each stream; without stdin, /dev/null in its place."""
        opened: list[int] = []
        try:
            for _ in range(3 if stdin else 2):
                opened += os.pipe2(os.O_CLOEXEC)
            if not stdin:
                opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            close_all(opened)
            raise
        out_reader, out_writer, error_reader, error_writer, in_reader, *in_writer = opened
        streams = {"stdout": out_reader, "stderr": error_reader}
        theirs = [in_reader, out_writer, error_writer]
        return cls(theirs, streams, in_writer[0] if in_writer else None)


def _spec_of(message: Message) -> CommandSpec:
    config = read_object(message, "process") or {}
    cmd = read_text(config, "cmd")
    if not cmd:
        raise RpcError("invalid_argument", "process.cmd is empty")
    return CommandSpec(
        cmd=cmd,
        args=read_texts(config, "args"),
        envs=read_text_map(config, "envs"),
        cwd=read_text(config, "cwd"),
        tag=read_text(message, "tag"),
    )


def _size_of(pty: Message) -> Message:
    """Return the rows and columns a message gives; those it leaves out stay as they are."""
    size = read_object(pty, "size") or {}
    found = {name: read_number(size, name) for name in ("rows", "cols")}
    return {name: number for name, number in found.items() if number}


def _info(command: Command) -> Message:
    spec = command.spec
    config: Message = {"cmd": spec.cmd, "args": spec.args, "envs": spec.envs}
    if spec.cwd is not None:
        config["cwd"] = spec.cwd
    info: Message = {"config": config, "pid": command.pid}
    if spec.tag is not None:
        info["tag"] = spec.tag
    return info


def _input_of(message: Message) -> bytes:
    given = read_object(message, "input") or {}
    return decode_bytes(given.get("stdin", given.get("pty", "")))


async def _see_end(command: Command) -> None:
    """Give a killed command a moment to be reaped, so that who asks next finds it gone."""
    with command.subscribed() as subscription, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REAP_S):
            async for _ in follow(subscription, REAP_S):
                pass


async def _stream(
    desktop: Desktop, command: Command, subscription: Subscription, call: Call, *, started: bool
) -> AsyncIterator[Message | bytes]:
    """Follow a command; ``started`` by this call, its deadline was the call's."""
    yield {"event": {"start": {"pid": command.pid}}}
    async for event in follow(subscription, call.keepalive_s):
        if isinstance(event, Output):
            yield _output(event)
            continue
        if event is not None and command.lost:
            # Not an end of its own; the SDKs look at the sandbox's health to say what happened.
            text = f"process {command.pid} ended with its desktop's processes"
            raise RpcError("unavailable", text + (_KILLED if desktop.deleted else ""))
        if event is not None and command.expired and started:
            text = f"process {command.pid} was killed after {call.timeout_s:g} s"
            raise RpcError("deadline_exceeded", text)
        yield {"event": {"keepalive": {}} if event is None else {"end": _end(event)}}


def _output(output: Output) -> bytes:
    """Encode a piece of output; ten times faster than the way of all other messages."""
    name, data = output.stream.encode(), binascii.b2a_base64(output.data, newline=False)
    return b'{"event":{"data":{"%b":"%b"}}}' % (name, data)


def _end(end: End) -> Message:
    """Go's os.ProcessState in words: an exit code, or -1 and the signal."""
    if end.code >= 0:
        status, code = f"exit status {end.code}", end.code
    else:
        status, code = f"signal: {_signal_name(-end.code)}", -1
    message: Message = {"exitCode": code, "exited": end.code >= 0, "status": status}
    if end.code != 0:
        message["error"] = status
    return message


def _signal_name(number: int) -> str:
    return (signal.strsignal(number) or str(number)).lower()
