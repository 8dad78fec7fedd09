"""The vocabulary of a run's events (stream mode `custom`): what each is called and what it tells.

Whoever follows a run gets plain dictionaries of these shapes, the same on the command line, from
Python and from the Agent Server (docs/events.md). What an event quotes is cut here, where it is
made. Names and fields may be added; anything else that changes raises `VERSION`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

VERSION: Literal[1] = 1

LISTED = 200
"""Items of a list that an event holds."""

TEXT_LIMIT = 4000
"""Characters of a longer text."""


def _cut(text: object, limit: int) -> str:
    """The beginning of a text as it can be sent: models and desktops write what is no text."""
    shown = str(text)
    shown = shown if len(shown) <= limit else f"{shown[:limit]} ..."
    return shown.encode("utf-8", "replace").decode()


def _arguments(given: Mapping[str, Any]) -> dict[str, str]:
    return {_cut(name, 100): _cut(value, 200) for name, value in [*given.items()][:20]}


Line = Annotated[str, AfterValidator(lambda text: _cut(text, 500))]
Text = Annotated[str, AfterValidator(lambda text: _cut(text, TEXT_LIMIT))]
Lines = Annotated[list[Line], AfterValidator(lambda items: items[:LISTED])]
Arguments = Annotated[Mapping[str, Any], AfterValidator(_arguments)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Seconds = Annotated[float, Field(ge=0, lt=10**9)]


class Event(BaseModel):
    """What all events have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    PASSING: ClassVar[bool] = False
    """Whether a later one of its kind tells as much: a reader who is behind may miss it."""

    version: Literal[1] = VERSION
    node: str = ""
    """The node it is from, empty for the run as a whole."""
    candidate: Count = 0
    """Which of several candidates it is about, from 1; 0 for the run as a whole."""
    at: float = 0
    """Seconds since the epoch."""


class Accepted(Event):
    """The thread can be resumed from here on, whatever happens (command line only)."""

    event: Literal["accepted"] = "accepted"
    thread: str


class Draining(Event):
    """A signal asked the run to stop after this step (command line only)."""

    event: Literal["draining"] = "draining"


class Dropped(Event):
    """Events with a star that a reader who is behind has missed at this place."""

    event: Literal["dropped"] = "dropped"
    count: Count


class Started(Event):
    """A node begins; again after a failure, and after the answer to a question."""

    event: Literal["started"] = "started"
    attempt: Count = 0


class Finished(Event):
    """A node's update is complete, its files are in a snapshot."""

    event: Literal["finished"] = "finished"
    seconds: Seconds


class Failed(Event):
    """A node ended with an error; it runs again, or the run ends with it."""

    event: Literal["failed"] = "failed"
    error: Line


class Restored(Event):
    """The desktop was made anew from the checkpoint's snapshot."""

    event: Literal["restored"] = "restored"
    reason: Line


class Waiting(Event):
    """Nothing goes on for a while: a rate limit, a quota, a lost connection."""

    event: Literal["waiting"] = "waiting"
    reason: Line
    seconds: Seconds
    """Until the next try."""
    tries: Count = 1
    """So far."""


class Question(Event):
    """A person is asked; the run ends here until it is resumed with an answer."""

    event: Literal["question"] = "question"
    kind: str
    question: Text


class Answered(Event):
    """A person's answer was taken."""

    event: Literal["answered"] = "answered"
    answer: Line


class Packing(Event):
    """The source is being read."""

    event: Literal["packing"] = "packing"
    source: Line


class Desktop(Event):
    """The thread's desktop is there."""

    event: Literal["desktop"] = "desktop"
    id: str


class Installing(Event):
    """What the tests need is being installed."""

    event: Literal["installing"] = "installing"
    packages: Count
    """Requirements that are named; what these need comes on top."""


class Environment(Event):
    """What the tests need was installed, was known, or could not be installed."""

    event: Literal["environment"] = "environment"
    status: str
    layer: str
    detail: Text
    seconds: Seconds
    known: bool


class Repository(Event):
    """The repository is in the desktop, as one base commit."""

    event: Literal["repository"] = "repository"
    files: Count
    uncommitted: Count


class Analysis(Event):
    """What the repository holds, in a line."""

    event: Literal["analysis"] = "analysis"
    summary: Line
    cached: bool
    new: Count
    """Files that had to be parsed."""


class Tests(Event):
    """How far a run of the suite is."""

    PASSING = True

    event: Literal["tests"] = "tests"
    kind: str
    """baseline, verdict, masked; again and alone for what may be flaky; mutant."""
    total: Count = 0
    done: Count = 0
    failed: Count = 0


class Test(Event):
    """One test ended."""

    __test__ = False
    PASSING = True

    event: Literal["test"] = "test"
    kind: str
    id: Line
    outcome: Line
    seconds: Seconds = 0


class Baseline(Event):
    """The suite as it is, before any work."""

    model_config = ConfigDict(extra="ignore")

    event: Literal["baseline"] = "baseline"
    collected: Count
    failing: Lines
    flaky: Lines = []
    """Tests that failed, and passed when they ran again."""


class Planned(Event):
    """What is to be done; bounded by `nodes.plans`."""

    model_config = ConfigDict(extra="ignore")

    event: Literal["plan"] = "plan"
    goal: Text
    suspects: Lines
    steps: list[dict[str, Any]] = []
    """Each with `what` and `files`."""
    tests: Lines = []
    risks: Lines = []
    protected: Lines = []


class Tokens(Event):
    """The next piece of a model's answer, or of the arguments of its tool calls."""

    PASSING = True

    event: Literal["tokens"] = "tokens"
    part: Literal["text", "arguments"] = "text"
    text: Text


class Cost(Event):
    """What one call of the model consumed; null where the endpoint does not say."""

    event: Literal["cost"] = "cost"
    model: str
    input_tokens: Count | None
    output_tokens: Count | None
    usd: float | None = None
    """Null also where the model's price is not known."""


class Call(Event):
    """The coder decided on a tool call."""

    event: Literal["call"] = "call"
    id: str = ""
    name: Line
    args: Arguments


class Output(Event):
    """What a command printed since the last one; of much its end."""

    PASSING = True

    event: Literal["output"] = "output"
    id: str = ""
    """The tool call that runs it."""
    text: Text


class Answer(Event):
    """A tool call's answer, its beginning."""

    event: Literal["answer"] = "answer"
    id: str = ""
    name: Line
    text: Line


class Search(Event):
    """How far the repair engine is."""

    PASSING = True

    event: Literal["search"] = "search"
    tried: Count


class Repair(Event):
    """The repair engine found an edit."""

    event: Literal["repair"] = "repair"
    operator: Line
    path: Line


class Searched(Event):
    """The repair engine is through."""

    event: Literal["searched"] = "searched"
    status: Line
    tried: Count
    seconds: Seconds


class Verdict(Event):
    """The tester's verdict on an attempt."""

    model_config = ConfigDict(extra="ignore")

    event: Literal["verdict"] = "verdict"
    passed: bool
    reasons: Lines
    fixed: Lines
    still_failing: Lines
    regressions: Lines
    flaky: Lines = []
    patch: str
    """Hash of the patch, in the ledger."""


class Ranking(Event):
    """The candidates have ended; the first one of `results` is gone on with."""

    event: Literal["ranking"] = "ranking"
    results: list[dict[str, Any]]
    """The best one first, each as in the report."""


class Review(Event):
    """All findings of gates and reviewer; a blocking one sends the work back."""

    event: Literal["review"] = "review"
    findings: list[dict[str, Any]]


class Report(Event):
    """The thread ended."""

    model_config = ConfigDict(extra="ignore")

    event: Literal["report"] = "report"
    status: str
    summary: Text
    patch: str
    attempts: Count
    seconds: Seconds


AnyEvent = Annotated[
    Accepted | Draining | Dropped | Started | Finished | Failed | Restored | Waiting | Question
    | Answered | Packing | Installing | Environment | Desktop | Repository | Analysis | Tests
    | Test | Baseline | Planned | Tokens | Cost | Call | Output | Answer | Search | Repair
    | Searched | Verdict | Ranking | Review | Report,
    Field(discriminator="event"),
]  # fmt: skip

_ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)

EVENTS: dict[str, type[Event]] = {
    kind.model_fields["event"].default: kind for kind in get_args(get_args(AnyEvent)[0])
}
"""Each kind of event by its name."""


def parse_event(data: Mapping[str, Any]) -> AnyEvent:
    """The event that a dictionary of the stream is.

    Raises:
        ValidationError: it is none of this vocabulary.
    """
    return _ADAPTER.validate_python(data)
