"""Live progress of a run on the terminal: one line a milestone, a spinner for what is going on."""

import sys
import time
from collections import Counter, defaultdict
from types import TracebackType
from typing import Any, Self, TextIO, cast

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from nodes.plans import in_lines, told
from nodes.state import Plan
from sentient.sentences import called, included, installed, judged, planned, tried
from sentient.streams import Forgiving
from sentient.text import plural, printable

WORKING = {
    "prepare": "bringing the repository into a desktop",
    "planner": "running the tests as they are",
    "spread": "letting several candidates begin",
    "coder": "looking for a repair",
    "act": "editing",
    "tester": "testing on a pristine desktop",
    "reviewer": "reviewing",
    "deliver": "delivering",
}

TESTING = {
    "baseline": "the tests as they are",
    "verdict": "the tests with the patch",
    "masked": "the same under meaningless names",
    "again": "what may be flaky, again",
    "alone": "what may be flaky, alone",
    "mutant": "whether tests notice a fault",
}

SPINNER_AND_ECHO = 6
"""Columns of the live line that its text must not take: a Ctrl-C is echoed as two characters after
it, and a line that they make wrap could not be taken back."""


class Progress:
    """Listens to the events of a run; writes to stderr, so that stdout stays the result."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        stderr = cast("TextIO", Forgiving(sys.stderr))
        self._console = Console(file=stderr, quiet=quiet, highlight=False, soft_wrap=True)
        self._doing, self._stopping = "starting", ""
        self._status = self._console.status(self._doing)
        self._started, self._verbose = time.monotonic(), verbose
        self._candidate = 0
        self._command, self._words = defaultdict[int, str](str), defaultdict[int, str](str)
        self._written = Counter[int]()

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._status.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one event of the graph's custom stream."""
        node, self._candidate = event.get("node", ""), event.get("candidate", 0)
        handler = getattr(self, f"_on_{event.get('event')}", None)
        if handler is not None:
            handler(event)
        elif event.get("event") == "started" and node in WORKING:
            self._busy(WORKING[node])

    def _busy(self, text: str) -> None:
        text = f"candidate {self._candidate}: {text}" if self._candidate else text
        self._doing = " ".join(text.split())
        line = Text(printable(self._stopping + self._doing))
        line.truncate(max(1, self._console.width - SPINNER_AND_ECHO), overflow="ellipsis")
        self._status.update(line)

    def _say(self, node: str, text: str, style: str = "") -> None:
        seconds = f"{time.monotonic() - self._started:6.1f}s"
        line = escape(printable(text))
        line = f"[{style}]{line}[/]" if style else line
        node = f"{node} {self._candidate}" if self._candidate else node
        self._console.print(f"[dim]{seconds}[/dim]  [bold]{node:<9}[/bold] {line}")

    def _on_accepted(self, event: dict[str, Any]) -> None:
        self._say("thread", event["thread"])

    def _on_dropped(self, event: dict[str, Any]) -> None:
        if self._verbose:
            lost = f"{plural(event['count'], 'event')} not shown: the terminal is too slow"
            self._say(event["node"], lost, "yellow")

    def _on_desktop(self, event: dict[str, Any]) -> None:
        self._say("prepare", f"desktop {event['id']}")

    def _on_installing(self, event: dict[str, Any]) -> None:
        self._busy("installing what the tests need")

    def _on_environment(self, event: dict[str, Any]) -> None:
        style = "yellow" if event["status"] in ("partial", "failed") else ""
        self._say("prepare", installed(event), style)

    def _on_repository(self, event: dict[str, Any]) -> None:
        files = f"{plural(event['files'], 'file')} in the base"
        self._say("prepare", files + included(event["uncommitted"]))
        self._busy(WORKING["planner"])

    def _on_analysis(self, event: dict[str, Any]) -> None:
        self._say("planner", event["summary"] + (" (known)" if event["cached"] else ""))

    def _on_tests(self, event: dict[str, Any]) -> None:
        done, total, failed = (event.get(key, 0) for key in ("done", "total", "failed"))
        counts = f"{done} of {total} tests, {failed} failed" if total else "collecting"
        self._busy(f"{TESTING.get(event['kind'], event['kind'])}: {counts}")

    def _on_test(self, event: dict[str, Any]) -> None:
        if self._verbose:
            self._say(event["node"], f"{event['outcome']} {event['id']} ({event['seconds']:.2f} s)")

    def _on_tokens(self, event: dict[str, Any]) -> None:
        """Words are shown a line at a time; how much was written, always."""
        whose = self._candidate
        self._written[whose] += len(event["text"])
        self._busy(f"the model writes: {plural(self._written[whose], 'character')}")
        if self._verbose and event["part"] == "text":
            *lines, self._words[whose] = (self._words[whose] + event["text"]).split("\n")
            for line in lines:
                self._say(event["node"], line, "dim")

    def _on_cost(self, event: dict[str, Any]) -> None:
        if words := self._words.pop(self._candidate, ""):
            self._say(event["node"], words, "dim")
        self._written.pop(self._candidate, 0)

    def _on_output(self, event: dict[str, Any]) -> None:
        lines = [line for line in event["text"].splitlines() if line.strip()]
        if lines:
            self._busy(f"{self._command[self._candidate][:60]}: {lines[-1].strip()[:80]}")
        for line in lines if self._verbose else ():
            self._say("act", line, "dim")

    def _on_baseline(self, event: dict[str, Any]) -> None:
        failing = len(event["failing"])
        style = "yellow" if failing else ""
        flaky = f", {len(event['flaky'])} flaky" if event["flaky"] else ""
        tests = plural(event["collected"], "test")
        self._say("planner", f"{tests}, {failing} failing{flaky}", style)

    def _on_plan(self, event: dict[str, Any]) -> None:
        self._say("planner", f"plan: {planned(event['goal'], event['suspects'])}")
        for part in in_lines(cast("Plan", event)):
            self._say("planner", told(*part))
        self._busy(WORKING["coder"])

    def _on_answered(self, event: dict[str, Any]) -> None:
        self._say("person", event["answer"])

    def _on_repair(self, event: dict[str, Any]) -> None:
        self._say("coder", f"repair in {event['path']}: {event['operator']}")

    def _on_search(self, event: dict[str, Any]) -> None:
        self._busy(f"repair engine: {event['tried']} candidates tried")

    def _on_searched(self, event: dict[str, Any]) -> None:
        self._say(
            "coder",
            f"{event['tried']} candidates tried in {event['seconds']:.1f} s: {event['status']}",
        )

    def _on_waiting(self, event: dict[str, Any]) -> None:
        self._say(event["node"], f"waiting {event['seconds']:g} s: {event['reason']}", "yellow")

    def _on_call(self, event: dict[str, Any]) -> None:
        self._say("coder", called(event["name"], event["args"]))
        command = event["args"].get("command", "") or event["name"]
        self._command[self._candidate] = command
        self._busy((command.splitlines() or [""])[0][:120])

    def _on_answer(self, event: dict[str, Any]) -> None:
        first = (event["text"].splitlines() or [""])[0]
        self._say(
            "act", f"{event['name']}: {first[:100]}", "red" if first.startswith("error") else ""
        )

    def _on_restored(self, event: dict[str, Any]) -> None:
        self._say(event["node"], f"desktop restored from its snapshot: {event['reason']}", "yellow")

    def _on_verdict(self, event: dict[str, Any]) -> None:
        self._say("tester", f"verdict: {judged(event)}", "green" if event["passed"] else "red")

    def _on_ranking(self, event: dict[str, Any]) -> None:
        for place, result in enumerate(event["results"]):
            chosen = "" if place else "chosen: "
            self._say("choose", f"{chosen}candidate {result['candidate']}: {tried(result)}")

    def _on_review(self, event: dict[str, Any]) -> None:
        blocking = [finding["message"] for finding in event["findings"] if finding["blocking"]]
        self._say("reviewer", f"sent back: {'; '.join(blocking)}" if blocking else "accepted")

    def _on_draining(self, event: dict[str, Any]) -> None:
        waits_for = f"stopping when this is done: {self._doing}"
        kept, self._console.quiet = self._console.quiet, False  # whoever asked waits for an answer
        self._say("", f"{waits_for}; once more to stop at once (either can be resumed)", "yellow")
        self._console.quiet = kept
        self._stopping = "stopping after: "
        self._busy(self._doing)
