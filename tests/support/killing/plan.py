"""Where runs are to be killed: drawn from a seed over the points of a run that nothing disturbs."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from killing.trace import Blow, Place

AFTER_FIRST_EFFECT = 1.45
"""How much likelier a phase after the first effect is chosen than one before it."""

SHORT_S = 0.02
"""A gap between two points that a kill from outside would miss: it comes at the first of them."""

FRESH_EVERY = 20
"""Each so manieth attempt runs in fresh interpreters, through the command line."""

AGAIN = 0.25
"""Share of attempts whose resume is killed as well."""


class Step(NamedTuple):
    """A point of the oracle's run: how many seconds after its start, where."""

    at_s: float
    place: Place


@dataclass(frozen=True)
class Attempt:
    """A thread that is killed by each blow in turn, one a process, then left to end."""

    number: int
    blows: tuple[Blow, ...]
    fresh: bool = False
    servers: tuple[float, ...] = ()
    """How long after the start of each of these processes its server is killed too; if any."""


def draw(steps: Sequence[Step], seed: int, count: int, within: str = "") -> list[Attempt]:
    """Plan `count` attempts with one kill, a quarter with a second one during the resume.

    Only phases whose name begins with `within` are aimed at.

    Every phase gets its share, in turn, and within a phase every point; 45 % of the kills are at
    the very point, 40 % a random time after it if there is any, 15 % at any instant of the run.
    """
    rng = random.Random(seed)
    targets = _targets(steps, rng, within)
    attempts = []
    for number in range(count):
        blows = [_blow(steps, next(targets), rng, within)]
        if rng.random() < AGAIN:
            blows.append(_any_instant(steps, rng, within))
        attempts.append(Attempt(number, tuple(blows), fresh=number % FRESH_EVERY == 7))
    return attempts


LEAD_S = 0.3
"""How long before the run its server is killed at most; as often it is a moment after."""


def draw_servers(steps: Sequence[Step], seed: int, count: int, within: str = "") -> list[Attempt]:
    """Plan `count` attempts in which the server alone is killed, at any instant, twice."""
    rng = random.Random(seed)
    blows = (Blow(-1), Blow(-1))
    return [
        Attempt(
            number,
            blows,
            servers=tuple(_any_instant(steps, rng, within).after_s or 0.0 for _ in blows),
        )
        for number in range(count)
    ]


def draw_both(steps: Sequence[Step], seed: int, count: int, within: str = "") -> list[Attempt]:
    """Plan `count` attempts in which run and server are killed together, three times each.

    First at work, as `draw` does, then twice at any instant of the resume, while the new server
    comes up and the run finds its files again.
    """
    rng = random.Random(seed)
    targets = _targets(steps, rng, within)
    attempts = []
    for number in range(count):
        again = (_any_instant(steps, rng, within) for _ in range(2))
        blows = [_blow(steps, next(targets), rng, within), *again]
        at = [steps[max(0, blow.at - 1)].at_s + (blow.after_s or 0.0) for blow in blows]
        servers = tuple(max(0.0, second + rng.uniform(-LEAD_S, LEAD_S)) for second in at)
        attempts.append(Attempt(number, tuple(blows), number % FRESH_EVERY == 7, servers))
    return attempts


def named(texts: Sequence[str], first: int) -> list[Attempt]:
    """Attempts for places written `node.stage.point#n`, killed at the n-th time each is reached.

    Several places with commas between them are one attempt: each kills the next process, which
    counts from its own start. Attempts are numbered from `first`.
    """
    return [Attempt(n, tuple(map(_at, text.split(",")))) for n, text in enumerate(texts, first)]


def _at(place: str) -> Blow:
    name, _, nth = place.partition("#")
    return Blow(int(nth or 1), name=name)


def phases(steps: Sequence[Step]) -> dict[str, list[int]]:
    """The numbers of the points (from 1) of each phase, in the order of the run."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, step in enumerate(steps, 1):
        found[step.place.phase].append(number)
    return dict(found)


def first_effect(steps: Sequence[Step]) -> int:
    """The number of the point at which the first tool call begins."""
    return next(
        number
        for number, step in enumerate(steps, 1)
        if step.place.node == "act" and step.place.point == "call.before"
    )


def _targets(steps: Sequence[Step], rng: random.Random, within: str) -> Iterator[int]:
    """Yield numbers of points for ever: phases in shuffled rounds, the points of each in turn."""
    groups = {name: at for name, at in phases(steps).items() if name.startswith(within)}
    effect = first_effect(steps)
    cycles = {}
    for phase, numbers in groups.items():
        rng.shuffle(numbers)
        cycles[phase] = numbers
    weight = {
        phase: AFTER_FIRST_EFFECT if max(numbers) > effect else 1.0
        for phase, numbers in groups.items()
    }
    credit, turn = dict.fromkeys(groups, 0.0), dict.fromkeys(groups, 0)
    while True:
        order = list(groups)
        rng.shuffle(order)
        for phase in order:
            credit[phase] += weight[phase]
            while credit[phase] >= 1:
                credit[phase] -= 1
                turn[phase] += 1
                yield cycles[phase][turn[phase] % len(cycles[phase])]


def _blow(steps: Sequence[Step], number: int, rng: random.Random, within: str) -> Blow:
    kind = rng.random()
    gap = _gap(steps, number)
    if kind < 0.45 or (kind < 0.85 and gap < SHORT_S):
        return Blow(number)
    if kind < 0.85:
        return Blow(number, gap * rng.random())
    return _any_instant(steps, rng, within)


def _any_instant(steps: Sequence[Step], rng: random.Random, within: str) -> Blow:
    aimed = [number for number, step in enumerate(steps) if step.place.phase.startswith(within)]
    begun = steps[aimed[0]].at_s if within else 0.0
    ended = steps[min(aimed[-1] + 1, len(steps) - 1)].at_s
    return Blow(0, begun + (ended - begun) * rng.random())


def _gap(steps: Sequence[Step], number: int) -> float:
    """Seconds from a point to the next one."""
    return steps[number].at_s - steps[number - 1].at_s if number < len(steps) else 0.01
