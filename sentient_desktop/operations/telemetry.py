"""Measurements of the server in Prometheus' text format, answered at ``/metrics``."""

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from sentient_desktop.fleet import Fleet
from sentient_desktop.limits.cgroup import Cgroups
from sentient_desktop.limits.disk import free_space
from sentient_desktop.store.layers import LayerStore
from sentient_desktop.store.trees import disk_usage

BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1, 2, 5, 10, 30)
LAYERS_AGE_S = 60.0
"""Measuring the layers walks all their files, so a value this old is given again."""


class Telemetry:
    """What one server counts. Cheap to update; collected when asked for."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Histogram(
            "sentient_request_seconds",
            "Time from a request to the first byte of its answer",
            ["plane", "route", "status"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.kills = Counter(
            "sentient_watchdog_kills",
            "Processes the watchdog killed because their desktop passed a bound",
            ["bound"],
            registry=self._registry,
        )
        self.refusals = Counter(
            "sentient_limit_hits",
            "Requests refused because a bound or a quota was reached",
            ["status"],
            registry=self._registry,
        )
        self.suspensions = Counter(
            "sentient_idle_suspensions", "Desktops paused for idleness", registry=self._registry
        )

    def watch(self, fleet: Fleet, layers: LayerStore, means: Cgroups) -> None:
        """Add what is read from the fleet at the time of asking."""
        self._registry.register(_FleetCollector(fleet, layers, means))

    def observe(self, plane: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests.labels(plane, route, f"{status // 100}xx").observe(seconds)
        if status in (429, 507):
            self.refusals.labels(str(status)).inc()

    async def metrics(self, _request: Request) -> Response:
        """Answer ``GET /metrics``."""
        text = await asyncio.to_thread(generate_latest, self._registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)


class _FleetCollector(Collector):
    def __init__(self, fleet: Fleet, layers: LayerStore, means: Cgroups) -> None:
        self._fleet = fleet
        self._layers = layers
        self._means = means
        self._measured_at = float("-inf")
        self._layer_bytes = 0

    def collect(self) -> Iterator[Metric]:
        """Read states, sizes and the kernel's counters. Blocks; called in a worker thread."""
        desktops = list(self._fleet.desktops.values())
        states = Tally({"running": 0, "paused": 0})
        states.update(desktop.record.state for desktop in desktops)
        family = GaugeMetricFamily("sentient_desktops", "Desktops by state", labels=["state"])
        for state, count in states.items():
            family.add_metric([state], count)
        yield family
        awake = sum(desktop.jail is not None for desktop in desktops)
        yield GaugeMetricFamily("sentient_jails", "Desktops that have processes", awake)
        commands = sum(len(desktop.commands.running()) for desktop in desktops)
        yield GaugeMetricFamily("sentient_commands_running", "Commands running now", commands)
        snapshots = len(self._fleet.snapshots)
        yield GaugeMetricFamily("sentient_snapshots", "Snapshots kept", snapshots)
        yield GaugeMetricFamily("sentient_pool", "Desktops ready to be claimed", self._fleet.pooled)
        if time.monotonic() - self._measured_at > LAYERS_AGE_S:
            self._layer_bytes = disk_usage(self._layers.folder)
            self._measured_at = time.monotonic()
        yield GaugeMetricFamily("sentient_layers_bytes", "Disk of all layers", self._layer_bytes)
        free = free_space(self._layers.folder)
        yield GaugeMetricFamily("sentient_disk_free_bytes", "Free where the data is", free)
        kills = sum(self._means.count_oom_kills(desktop.id) for desktop in desktops)
        yield GaugeMetricFamily(
            "sentient_oom_kills", "Processes of living desktops the kernel killed for memory", kills
        )
        info = GaugeMetricFamily("sentient_limits_info", "What bounds desktops", labels=["means"])
        info.add_metric([self._means.name], 1)
        yield info
