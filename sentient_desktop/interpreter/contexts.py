"""The contexts of one desktop: made lazily, one kernel process each, started again when it died."""

import asyncio
import os
import secrets
import signal
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from sentient_desktop.desktop import Desktop, gone
from sentient_desktop.envd.commands import Command, CommandSpec
from sentient_desktop.errors import AgentError, ApiError
from sentient_desktop.interpreter.events import Finished, Ready, Wire, failure
from sentient_desktop.interpreter.kernel import Kernel
from sentient_desktop.interpreter.languages import Language, find_language
from sentient_desktop.sandbox.boot import RunningJail
from sentient_desktop.sandbox.pipes import close_all
from sentient_desktop.sandbox.runtime import command_environment
from sentient_desktop.templates.recipes import find_program

HOME = "/home/user"
START_TIMEOUT_S = 30.0
INTERRUPT_GRACE_S = 3.0
"""How long interrupted code may take to stop before its kernel is killed."""

CONTEXT_LIMIT = 64
"""Contexts one desktop may have; each is a process."""

DEFAULTS = ("python", "javascript")
"""Languages whose default context is listed before anybody used it."""


class Context:
    """One language with its state. Executions are one at a time."""

    def __init__(self, desktop: Desktop, language: Language, cwd: str) -> None:
        self.id = str(uuid.uuid4())
        self.language = language
        self.cwd = cwd
        self._desktop = desktop
        self._lock = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._removed = False
        self._kernel: Kernel | None = None
        self._command: Command | None = None
        self._jail: RunningJail | None = None
        self._count = 0

    def describe(self) -> dict[str, str]:
        """Return the context as the SDKs read it."""
        return {"id": self.id, "language": self.language.name, "cwd": self.cwd}

    async def start(self) -> Kernel:
        """Return the living kernel, starting one if there is none in the desktop's present boot.

        Raises:
            ApiError: 501 when its program is not there, 400 when its folder is not, 404 when the
                context was removed.
        """
        async with self._starting:  # a restart and an execution that waits may ask at once
            return await self._start()

    async def _start(self) -> Kernel:
        jail = await self._desktop.ensure_booted()
        if self._removed:
            raise ApiError(404, f"Context {self.id} not found")
        if self._kernel is not None and self._jail is jail and not self._kernel.dead.is_set():
            return self._kernel
        if self._kernel is not None:
            self._kernel.die("the desktop was started again")
            with suppress(AgentError):
                await self._kill()  # a process may outlive its pipes
        kernel = await self._spawn(jail)
        self._kernel, self._jail, self._count = kernel, jail, 0
        said = ""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                event = await kernel.next()
        except TimeoutError:
            event, said = None, f"no answer within {START_TIMEOUT_S:g} s"
        if not isinstance(event, Ready):
            await self._kill()
            kernel.die("it did not start")
            text = f"the {self.language.name} context did not start: {said or kernel.reason}"
            raise ApiError(501, f"{text}; {self.language.hint}", retryable=False)
        kernel.idle.set()
        return kernel

    async def _spawn(self, jail: RunningJail) -> Kernel:
        record, mark = self._desktop.record, secrets.token_hex(8)
        with self._desktop.commands.starting():
            pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(4)]
            (request_end, requests), (out, out_end), (err, err_end), (events, event_end) = pipes
            null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            theirs = [null, out_end, err_end, request_end, event_end]
            try:
                reply = await jail.channel.call(
                    "spawn",
                    fds=theirs,
                    argv=list(self.language.argv),
                    env=command_environment(record.id, record.template)
                    | self._desktop.gate.environment
                    | record.envs,
                    cwd=self.cwd,
                    mark=mark,
                    pty=None,
                )
                pid = int(reply["pid"])
            except (AgentError, KeyError, TypeError, ValueError) as error:
                close_all([requests, out, err, events])
                raise self._refusal(error) from error
            except BaseException:
                close_all([requests, out, err, events])
                raise
            finally:
                close_all(theirs)
            program, *arguments = self.language.argv
            spec = CommandSpec(cmd=program, args=arguments, cwd=self.cwd, tag=f"context-{self.id}")
            self._command = Command(pid, mark, spec, {}, close_all)
            self._desktop.commands.add(self._command)
        kernel = Kernel(requests, out, err, events)
        self._desktop.keep(_follow(self._command, kernel))
        return kernel

    def _refusal(self, error: Exception) -> ApiError:
        name = self.language.name
        if isinstance(error, AgentError) and error.errno_name == "ENOTDIR":
            return ApiError(400, f"the {name} context did not start: {error}")
        text = f"the {name} context did not start: {error}; {self.language.hint}"
        return ApiError(501, text, retryable=False)

    async def execute(self, code: str, variables: Mapping[str, str]) -> AsyncIterator[Wire]:
        """Run code and yield what comes of it. Closing the iterator early interrupts the code.

        Raises:
            ApiError: the context cannot be started, or 502 when the whole desktop ended.
        """
        await self._lock.acquire()
        kernel: Kernel | None = None
        over = True
        try:
            kernel = await self.start()
            self._count += 1
            over = False
            yield {"type": "number_of_executions", "execution_count": self._count}
            own = self._desktop.record.envs
            request = self.language.encode(code, self._count, variables, own)
            async for event in kernel.execute(request):
                if not isinstance(event, Finished):
                    yield event
                elif event.status:
                    yield failure("ExitStatus", str(event.status))
                over = over or isinstance(event, Finished)
            if not over:
                over = True
                if self._jail is None or self._jail.ended.is_set() or not self._jail.alive:
                    raise gone(self._desktop.id)
                yield failure("ContextRestarting", f"Context was restarted: {kernel.reason}")
        finally:
            if over or kernel is None:
                self._lock.release()
            else:
                running = kernel
                self._desktop.when_awake(
                    lambda: self._interrupt(running), otherwise=self._lock.release
                )

    async def _interrupt(self, kernel: Kernel) -> None:
        """Stop code nobody waits for, gently first; the next execution waits for this."""
        try:
            if self._command is not None and self._jail is not None:
                with suppress(AgentError):
                    await self._jail.channel.call(
                        "signal", pid=self._command.pid, signal=int(signal.SIGINT)
                    )
            try:
                async with asyncio.timeout(INTERRUPT_GRACE_S):
                    await _first_of(kernel.idle, kernel.dead)
            except TimeoutError:
                await self._kill()
                kernel.die("it ignored an interrupt and was killed")
        finally:
            self._lock.release()

    async def _kill(self) -> None:
        command, jail = self._command, self._jail
        if command is not None and command.end is None and jail is not None and jail.alive:
            await jail.channel.call("kill_tree", pid=command.pid, mark=command.mark)

    async def stop(self, reason: str, *, for_good: bool = False) -> None:
        """End the kernel with everything it started; the next execution has a fresh one, or none.

        ``for_good`` is for contexts that are removed.
        """
        self._removed = self._removed or for_good
        await self._kill()
        if self._kernel is not None:
            self._kernel.die(reason)


class Interpreter:
    """All contexts of one desktop, in order of their making."""

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop
        self._contexts: dict[str, Context] = {}
        self._defaults: dict[str, Context] = {}

    def list(self) -> list[dict[str, str]]:
        """Describe all contexts; the default ones exist from the start, their processes not."""
        for name in DEFAULTS:
            if name != "javascript" or find_program("node"):
                self.default(name)
        return [context.describe() for context in self._contexts.values()]

    def default(self, name: str | None) -> Context:
        """Return the context of code that names none."""
        language = find_language(name)
        if language.name not in self._defaults:
            self._defaults[language.name] = self._add(language, HOME)
        return self._defaults[language.name]

    def find(self, context_id: Any) -> Context:
        """Find a context.

        Raises:
            ApiError: 404.
        """
        context = self._contexts.get(context_id) if isinstance(context_id, str) else None
        if context is None:
            raise ApiError(404, f"Context {context_id} not found")
        return context

    async def create(self, language: str | None, cwd: str | None) -> Context:
        """Make a context of its own and start its kernel."""
        self.list()
        context = self._add(find_language(language), cwd or HOME)
        try:
            await context.start()
        except BaseException:
            self._contexts.pop(context.id, None)
            raise
        return context

    async def remove(self, context_id: str) -> None:
        """End a context for good; a default one is made anew when needed."""
        context = self.find(context_id)
        await context.stop("the context was removed", for_good=True)
        self._contexts.pop(context_id, None)
        self._defaults = {k: v for k, v in self._defaults.items() if v is not context}

    def _add(self, language: Language, cwd: str) -> Context:
        if len(self._contexts) >= CONTEXT_LIMIT:
            text = f"the sandbox has {CONTEXT_LIMIT} contexts already; remove one first"
            raise ApiError(429, text, retryable=False)
        context = Context(self._desktop, language, cwd)
        self._contexts[context.id] = context
        return context


async def _follow(command: Command, kernel: Kernel) -> None:
    """Tell a kernel of its process's end, which its pipes show later if children have them."""
    with command.subscribed() as subscription:
        event = await subscription.next()
    code = getattr(event, "code", -9)
    how = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
    kernel.die(f"its process {how}")


async def _first_of(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
