"""The graph's state: ids, hashes and short typed reports, plain data only.

Logs, patches and repository contents stay in the desktop or the ledger (law 7).
"""

import math
import operator
from typing import Annotated, Literal, NotRequired, TypedDict

from langchain_core.messages import AnyMessage

from checkpoints.binding import DesktopRef
from checkpoints.deltas import CONVERSATION

LISTED_TESTS = 200
"""Test ids that a summary names; the ledger has them all."""


class Base(TypedDict):
    """The repository in the desktop and the one commit that everything is compared with."""

    name: str
    commit: str
    tree: str
    files: int
    head: str
    uncommitted: int


Status = Literal["off", "none", "ready", "partial", "failed"]
"""Not wanted, nothing to install, all installed, some of it, nothing."""


class Environment(TypedDict):
    """What was installed for the tests before anything else was done."""

    status: Status
    layer: str
    """The snapshot that the thread's desktop was made from; empty for the bare template."""
    detail: str
    """What could not be installed, and why; what was left out."""
    seconds: float
    known: bool
    """Whether it was made before, for the same source."""


class TestSummary(TypedDict):
    """A test run in short: counts, failing ids (at most `LISTED_TESTS`), ledger key, digest."""

    run: str
    collected: int
    passed: int
    failing: list[str]
    flaky: NotRequired[list[str]]
    """Tests that failed, and passed when they ran again; in none of the other numbers."""
    digest: str
    seconds: float


class Executed(TypedDict):
    """A file that failing tests executed, as `tools.analysis.Touched`; at most 30 are kept."""

    path: str
    score: float
    lines: list[int]


class PlanStep(TypedDict):
    """One thing to do, and the files it is about; at most 300 characters, 10 files."""

    what: str
    files: list[str]


class Plan(TypedDict):
    """What is to be done. Bounded by `nodes.plans`; older checkpoints lack what is not required."""

    goal: str
    targets: list[str]
    """The failing tests that must turn."""
    suspects: list[str]
    """Files to look at first."""
    notes: str
    """What is probably wrong, in words."""
    steps: NotRequired[list[PlanStep]]
    tests: NotRequired[list[str]]
    """Behaviour for which tests are to be added, or whatever they are called."""
    risks: NotRequired[list[str]]
    protected: NotRequired[list[str]]
    """Files, folders or patterns that must not change, beside tests and their configuration."""


class Finding(TypedDict):
    """Something a gate or a reviewer objects to; `blocking` ones send the work back."""

    gate: str
    message: str
    blocking: bool
    file: NotRequired[str]
    """Of a model's finding; empty for the patch as a whole."""
    line: NotRequired[int]
    severity: NotRequired[str]
    """blocker, major, minor or note."""


class Verdict(TypedDict):
    """The tester's result from a pristine desktop at base + patch; nothing else is success."""

    passed: bool
    reasons: list[str]
    fixed: list[str]
    still_failing: list[str]
    regressions: list[str]
    flaky: NotRequired[list[str]]
    """Tests that failed and passed at the same files, at the base or with the patch."""
    patch: str
    files: list[dict[str, str | int]]
    run: str
    covered: NotRequired[float | None]
    """Share of the changed statements that tests run, 0 to 1; None where that is not known."""


class Contested(TypedDict):
    """A patch that passed tests and gates, and what a model objects to in it."""

    verdict: Verdict
    findings: list[Finding]


class Best(TypedDict):
    """The best patch so far, by the number of tests it fixes without breaking any."""

    patch: str
    files: list[dict[str, str | int]]
    fixed: list[str]
    still_failing: list[str]
    attempt: int


class Usage(TypedDict):
    """What calls of a model consumed. Older checkpoints have the first three numbers alone."""

    calls: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    """Of the input, what the endpoint had in its cache."""
    estimated: int
    """Calls whose tokens the endpoint did not count; they are estimated here."""
    retries: int
    """Requests that were sent again, because the endpoint was busy or down."""
    seconds: float
    """Spent on waiting for answers."""
    usd: float | None
    """None where a price is not known."""


NO_USAGE = Usage(
    calls=0,
    input_tokens=0,
    output_tokens=0,
    cached_tokens=0,
    estimated=0,
    retries=0,
    seconds=0.0,
    usd=0.0,
)


class Price(TypedDict):
    """US dollars for a million tokens."""

    input: float
    cached: float
    output: float


Budget = Literal["", "attempts", "tokens", "seconds", "usd"]
"""What a run may use up."""


class Bounds(TypedDict, total=False):
    """What one role's calls of a model may use up."""

    tokens: int
    usd: float
    seconds: float


class Short(TypedDict):
    """The bound that left no room for the coder's next call: the run's, or the role's."""

    kind: Budget
    role: str
    why: str


class Work(TypedDict, total=False):
    """The part of a candidate's state that the run goes on with if it is chosen."""

    verdict: Verdict
    findings: list[Finding]
    best: Best
    attempt: int
    doubts: list[str]
    gave_up: str
    changed: list[str]
    changed_count: int | None


class Result(TypedDict):
    """What one of several candidates came to: what they are ranked by, and where its files are."""

    candidate: int
    """From 1."""
    passed: bool
    """Whether its verdict is success, and no gate objects."""
    why: str
    """What its work came to, in a line."""
    fixed: int
    regressions: int
    lines: int
    """Lines that its patch adds and removes."""
    covered: float | None
    """As in `Verdict`."""
    attempts: int
    seconds: float
    usage: Usage
    patch: str
    """Hash of the last patch that was judged, in the ledger."""
    desktop: DesktopRef
    """As it left its files; their snapshot stays when the desktop has ended."""
    work: NotRequired[Work]
    """Until one is chosen."""


class Report(TypedDict):
    """The outcome of a thread, small enough to be read anywhere."""

    status: Literal["verified", "unsolved"]
    summary: str
    patch: str
    files: list[dict[str, str | int]]
    fixed: list[str]
    still_failing: list[str]
    findings: list[Finding]
    attempts: int
    coder: str
    seconds: float
    """At work: waiting for people, and for being resumed, is not in it."""
    usage: Usage
    roles: dict[str, Usage]
    """What each role's calls of the model consumed."""
    budget: Budget
    """The budget whose end ended the run."""
    candidates: NotRequired[list[Result]]
    """Where there were several, the best one first."""


def add_results(left: list[Result], right: list[Result]) -> list[Result]:
    """Reducer: one result a candidate, the later one, in the order of their numbers."""
    merged = {result["candidate"]: result for result in [*left, *right]}
    return [merged[number] for number in sorted(merged)]


def add_usage(left: Usage, right: Usage) -> Usage:
    """The sum of what was consumed; with a call of unknown price the sum is unknown."""
    usd = _usd(left), _usd(right)
    return Usage(
        calls=left.get("calls", 0) + right["calls"],
        input_tokens=left.get("input_tokens", 0) + right["input_tokens"],
        output_tokens=left.get("output_tokens", 0) + right["output_tokens"],
        cached_tokens=left.get("cached_tokens", 0) + right.get("cached_tokens", 0),
        estimated=left.get("estimated", 0) + right.get("estimated", 0),
        retries=left.get("retries", 0) + right.get("retries", 0),
        seconds=round(left.get("seconds", 0.0) + right.get("seconds", 0.0), 3),
        usd=None if None in usd else math.fsum(usd),  # type: ignore[arg-type]
    )


def _usd(usage: Usage) -> float | None:
    return usage.get("usd") if usage.get("calls") else 0.0


def add_roles(left: dict[str, Usage], right: dict[str, Usage]) -> dict[str, Usage]:
    """`add_usage` role by role."""
    return {**left, **{role: add_usage(left.get(role, NO_USAGE), right[role]) for role in right}}


class Input(TypedDict, total=False):
    """What a run is given."""

    source: str
    """A folder, a git URL or an archive."""
    task: str
    """What to do, in words; may be empty when tests fail."""
    install: str
    """A command that installs what tests need, `none`, or empty: by the repository's manifests."""
    tests: str
    """The test command: of pytest, unittest or `node --test`; empty means what is found."""
    max_attempts: int
    """Rounds of coder, tester, reviewer; 3 unless given. Each candidate has as many."""
    candidates: int
    """Coders that work on the plan side by side, 1 to 8; the best work is gone on with."""
    model: str
    """The model's name; empty means by configuration, `none` the offline engine."""
    approve: bool
    """Whether a person is asked before the coder starts."""
    ask: bool
    """Whether a person is asked before the run gives up: impossible task, budget used up."""
    max_tokens: int
    """Tokens in and out that the model may use, checked before each call; no bound unless given."""
    max_seconds: float
    """Seconds of work, without waiting, checked before each decision; no bound unless given."""
    max_usd: float
    """Dollars that the model may cost, checked before each call; no bound unless given."""
    role_bounds: dict[str, Bounds]
    """The same bounds for the calls of one role: planner, coder, reviewer."""
    price_in: float
    """Dollars for a million tokens of input; by the settings or the list unless given."""
    price_out: float
    """The same for output."""


class State(Input, total=False):
    """Everything a checkpoint holds."""

    owner: str
    """Whose desktops these are: the thread id, or a random name where there is no thread."""
    secrets: list[str]
    """Names of what tests and commands get as environment; the values are never in a state."""
    desktop: DesktopRef
    base: Base
    environment: Environment
    base_snapshot: str
    """The desktop before any coder touched it: where verdicts are found."""
    baseline: TestSummary
    plan: Plan
    executed: list[Executed]
    """What the baseline's failing tests executed; missing or empty where that is not known."""
    messages: Annotated[list[AnyMessage], CONVERSATION]
    """The coder's conversation; its last message is the decision that `act` carries out."""
    attempt: int
    steps: int
    """Decisions of the coder in this attempt."""
    handed_in: bool
    """The coder says that this attempt is complete."""
    doubts: list[str]
    """What the coder itself is unsure of; shown in the report, blocks nothing."""
    worked: Annotated[float, operator.add]
    """Seconds that the steps so far took; steps that failed are not in it."""
    candidate: int
    """In the state of one of several candidates its number, from 1; else 0 or missing."""
    results: Annotated[list[Result], add_results]
    """What the candidates came to, once they have."""
    hint: str
    """What a person has to say to the coder's next attempt."""
    spent: Budget
    """The budget whose end made the run give up."""
    gave_up: str
    """Why no further attempt makes sense; empty while there is hope."""
    changed: list[str]
    """Repository files that differ from the base after the last `act`, at most 200 names."""
    changed_count: int | None
    """How many files differ in all; None when git in the desktop cannot tell."""
    verdict: Verdict
    findings: list[Finding]
    contested: Contested | None
    """The last patch that only the model rejected; delivered where no other is accepted."""
    rejections: int
    """Patches that only the model rejected."""
    best: Best
    usage: Usage
    """What the thread paid for by then, lost work included."""
    roles: dict[str, Usage]
    """The same for each role."""
    inherited: dict[str, Usage]
    """Of that, what the thread paid for that this one is a copy of."""
    price: Price | None
    """What the model costs; None when nobody knows."""
    short: Short | None
    """Why the coder did not make its next call."""
    report: Report
