"""The server process: one per data folder, from taking the lock to leaving nothing behind."""

import asyncio
import fcntl
import os
import resource
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import uvicorn
from starlette.routing import Route

from sentient_desktop.app import App
from sentient_desktop.desktop import Workshop
from sentient_desktop.errors import LaunchError, ProbeError
from sentient_desktop.fleet import Fleet
from sentient_desktop.limits.cgroup import Cgroups
from sentient_desktop.limits.means import choose_means, scope_prefix
from sentient_desktop.limits.watchdog import Watchdog
from sentient_desktop.network.addresses import parse_address, parse_network
from sentient_desktop.network.dialer import Outside
from sentient_desktop.network.gate import Border, Uplinks
from sentient_desktop.network.policy import normalise
from sentient_desktop.network.tunnel import Tunnel
from sentient_desktop.operations.gate import Gate
from sentient_desktop.operations.idle import suspend_idle_forever
from sentient_desktop.operations.listener import Listener
from sentient_desktop.operations.logs import start_logging
from sentient_desktop.operations.telemetry import Telemetry
from sentient_desktop.owners import Owners
from sentient_desktop.sandbox.boot import Spawner
from sentient_desktop.sandbox.factory import JailFactory
from sentient_desktop.sandbox.probe import probe_with
from sentient_desktop.sandbox.runtime import ensure_template
from sentient_desktop.sandbox.strays import end_strays
from sentient_desktop.settings import Settings
from sentient_desktop.state import read_state, write_state
from sentient_desktop.store.layers import LayerStore
from sentient_desktop.store.registry import Registry
from sentient_desktop.sweep import sweep
from sentient_desktop.templates.shelf import Shelf, default_folder

OPEN_FILES = 65536
SHUTDOWN_GRACE_S = 3
KEEPALIVE_S = 900
"""Longer than the 300 s the SDKs keep an idle connection: the client must be the one to close it,
or a request may meet the closing connection and be sent again without its body."""


def _take(data_dir: Path) -> int:
    """Make the folder, and take its lock for the life of this process.

    Raises:
        LaunchError: another server has it.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    fd = os.open(data_dir / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise LaunchError(f"another desktop server is using {data_dir}") from None
    return fd


def _allow_many_files() -> None:
    """Raise the soft bound on descriptors, often 1024, towards the hard one; commands need them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(settings: Settings, last_port: int) -> socket.socket:
    """Listen on the wished port; with none wished, on the last run's, so that URLs stay valid."""
    wishes = [settings.port] if settings.port else [last_port, 0]
    for port in wishes:
        try:
            listener = socket.create_server((settings.host, port))
        except OSError as error:
            if port == wishes[-1]:
                text = f"cannot listen on {settings.host}:{port}: {error.strerror}"
                raise LaunchError(text) from error
        else:
            # Inherited by every connection. asyncio sets it only for sockets made with an explicit
            # protocol number, and without it each answer waits 40 ms for a delayed ACK.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return listener
    raise AssertionError("unreachable: the last wish returns or raises")


def _border(settings: Settings, spawner: Spawner) -> Border:
    try:
        private = tuple(parse_network(block) for block in settings.private_egress)
        hosts = {normalise(name): str(parse_address(at)) for name, at in settings.hosts}
    except ValueError as error:
        raise LaunchError(f"the egress settings are wrong: {error}") from error
    uplinks = Uplinks(spawner, settings.data_dir) if settings.open_egress else None
    return Border(Outside(private, hosts), uplinks)


@asynccontextmanager
async def open_fleet(
    settings: Settings, spawner: Spawner, means: Cgroups, telemetry: Telemetry, owners: Owners
) -> AsyncIterator[Fleet]:
    """Probe the machine, sweep what a crash left, and run the fleet until the context ends.

    Raises:
        ProbeError: desktops cannot be isolated here.
    """
    data_dir = settings.data_dir
    registry = await asyncio.to_thread(Registry, data_dir / "registry.db")
    layers = LayerStore(data_dir / "layers")
    await asyncio.to_thread(sweep, registry, data_dir / "desktops", layers)
    await asyncio.to_thread(means.sweep)
    await asyncio.to_thread(end_strays, data_dir)
    template = await asyncio.to_thread(ensure_template, data_dir / "templates")
    factory = JailFactory(template, layers, settings.limits)
    report = await probe_with(spawner, factory, data_dir)
    if not report.ok:
        raise ProbeError(report.detail)
    disks = "overlay" if report.overlay else "copy"
    if (kept := registry.fact("disks", disks)) != disks and kept == "overlay":
        raise ProbeError(
            f"this data folder's disks are overlays, which are refused now: {report.detail}"
        )
    uids = report.uids and report.uids[:-2]  # those two are the probe's
    overlay = kept == "overlay"
    border = _border(settings, spawner)
    shelf = Shelf(settings.packages_dir or default_folder())
    workshop = Workshop(
        registry, layers, spawner, factory, settings.limits, means, border, shelf, overlay, uids
    )
    fleet = Fleet(workshop, data_dir / "desktops", pooled=settings.pooled, quota_of=owners.quota_of)
    telemetry.watch(fleet, layers, means)
    _start_chores(fleet, settings, means, telemetry)
    try:
        yield fleet
    finally:
        await fleet.shut_down()
        border.close()
        registry.close()


def _start_chores(fleet: Fleet, settings: Settings, means: Cgroups, telemetry: Telemetry) -> None:
    """Start what runs beside the requests for as long as the fleet does."""
    watchdog = Watchdog(
        lambda: list(fleet.desktops.values()),
        settings.limits,
        "memory" in means.enforced,
        lambda bound: telemetry.kills.labels(bound).inc(),
    )
    idle = suspend_idle_forever(
        lambda: list(fleet.desktops.values()), settings.idle_s, telemetry.suspensions.inc
    )
    for work in (
        fleet.reap_forever(),
        fleet.fill_pool_forever(),
        fleet.merge_chains_forever(),
        watchdog.run_forever(),
        idle,
    ):
        fleet.chores.append(asyncio.create_task(work))


@asynccontextmanager
async def _lifespan(
    settings: Settings,
    spawner: Spawner,
    telemetry: Telemetry,
    owners: Owners,
    *,
    scoped: bool,
    failure: list[Exception],
) -> AsyncIterator[Fleet]:
    """Run the fleet; note why it ended, because uvicorn only says that start-up failed."""
    try:
        means = choose_means(
            settings.limits_by, settings.limits, settings.data_dir, spawner.pid, scoped=scoped
        )
        async with open_fleet(settings, spawner, means, telemetry, owners) as fleet:
            yield fleet
    except Exception as error:
        failure.append(error)
        raise


def _configuration(app: App, gate: Gate) -> uvicorn.Config:
    return uvicorn.Config(
        gate,  # type: ignore[arg-type,unused-ignore]
        loop="asyncio",
        lifespan="on",
        ws=partial(Tunnel, app.admit),  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        timeout_keep_alive=KEEPALIVE_S,
    )


def run_server(settings: Settings, announce: Callable[[str, str], None]) -> None:
    """Serve until SIGTERM or SIGINT. ``announce(url, api_key)`` is called once, when ready.

    Raises:
        LaunchError: the data folder or the port is taken.
        ProbeError: this machine cannot isolate desktops.
    """
    os.umask(0o022)
    _allow_many_files()
    data_dir = settings.data_dir
    lock = _take(data_dir)
    state = read_state(data_dir)
    api_key = str(state.get("api_key") or f"e2b_{secrets.token_hex(20)}")
    listener = _listen(settings, int(state.get("port") or 0))
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    prefix = scope_prefix(settings.limits_by)
    spawner = Spawner.start(data_dir / "spawner.log", prefix)
    failure: list[Exception] = []
    telemetry = Telemetry()
    owners = Owners(data_dir, api_key, settings.quota)
    lifespan = partial(
        _lifespan, settings, spawner, telemetry, owners, scoped=bool(prefix), failure=failure
    )
    app = App(lifespan, owners, [Route("/metrics", telemetry.metrics)])
    gate = Gate(app, telemetry)

    def ready() -> None:
        write_state(data_dir, {"url": url, "api_key": api_key, "port": port})
        announce(url, api_key)

    start_logging(data_dir)
    drain = partial(gate.drain, settings.grace_s)
    try:
        Listener(_configuration(app, gate), ready, drain).run(sockets=[listener])
    except SystemExit:
        if not failure:
            raise
    finally:
        spawner.close()
        end_strays(data_dir)
        listener.close()
        os.close(lock)
    if failure:
        if isinstance(failure[0], ProbeError):
            raise failure[0]
        raise LaunchError(f"the server failed: {failure[0]}") from failure[0]
