"""The end of a run for people and for programs."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nodes.plans import STEPS, in_lines, told
from nodes.state import Plan, Report, Result, State, Usage
from sentient.answers import commands
from sentient.endings import Ending
from sentient.signals import code_of
from sentient.text import plural, printable
from tools.errors import ExitCode

DIFF_SHOWN = 120
"""Lines of a patch that the report shows; `sentient diff` has all of it."""

DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan", "d": "bold"}


def exit_code(ending: Ending, signal: int = 0) -> int:
    """The shell's view of an ending; a stopped run is like any program that a signal ended."""
    if ending.kind == "waiting":
        return ExitCode.WAITING
    if ending.kind in ("stopped", "running"):
        return code_of(signal)
    return (
        ExitCode.VERIFIED if ending.state["report"]["status"] == "verified" else ExitCode.NOT_SOLVED
    )


def as_json(ending: Ending, patch: str) -> dict[str, Any]:
    """An ending as one JSON object."""
    report: Report | None = ending.state.get("report")
    data: dict[str, Any] = {"thread": ending.thread, "status": ending.kind}
    if ending.kind == "waiting":
        data["question"] = ending.question
        data["answer_schema"] = ending.schema
        data["answer_with"] = list(commands(ending.thread, ending.question))
    if ending.kind == "stopped":
        data["resume_with"] = f"sentient resume {ending.thread}"
    if report is not None:
        data |= {**report, "patch_sha256": report["patch"], "patch": patch}
        data["plan"] = ending.state.get("plan")
    return data


def print_ending(ending: Ending, patch: str, console: Console, *, applied: str = "") -> None:
    """Write the readable report of an ending; `applied` names the folder the patch went to."""
    if ending.kind == "waiting":
        _print_question(ending, console)
    elif ending.kind == "running":
        console.print("running, in another process")
    elif ending.kind == "stopped":
        console.print(f"stopped; go on with: sentient resume {ending.thread}")
    else:
        _print_report(ending.thread, ending.state, patch, console, applied)


def _print_question(ending: Ending, console: Console) -> None:
    question = ending.question
    console.print(f"[bold]{escape(printable(question['question']))}[/bold]")
    if "plan" in question:
        _print_plan(question["plan"], console)
    if question.get("reason"):
        _print_list(console, "reason", [question["reason"]])
    if question.get("reads_hints") is False:
        _print_list(console, "note", ["the offline engine reads no hints"])
    _print_list(console, "verdict", question.get("verdict", []))
    _print_list(console, "objection", question.get("objections", []))
    console.print("\nanswer with one of:")
    for command, meaning in commands(ending.thread, question).items():
        console.print(f"  {escape(printable(command))}\n      [dim]{escape(meaning)}[/dim]")


def _print_plan(plan: Plan, console: Console) -> None:
    _print_list(console, "goal", [plan["goal"]])
    _print_list(console, "look at", plan["suspects"])
    parts = list(in_lines(plan))
    for label in dict(parts):
        _print_list(console, label, [line for name, line in parts if name == label], STEPS)
    if plan["notes"]:
        console.print(escape(printable(plan["notes"])))


def _print_report(thread: str, state: State, patch: str, console: Console, applied: str) -> None:
    report = state["report"]
    verified = report["status"] == "verified"
    title = "[bold green]verified[/]" if verified else "[bold red]not solved[/]"
    console.print(f"\n{title}  {escape(printable(report['summary']))}")
    base = state.get("base")
    if base and base["uncommitted"]:
        changes = plural(base["uncommitted"], "uncommitted change")
        console.print(f"  base      includes {changes} of your folder")
    if "plan" in state:
        _print_list(console, "plan", [told(*part) for part in in_lines(state["plan"])])
    for file in report["files"]:
        path = escape(printable(file["path"]))
        console.print(f"  changed   {path}  [green]+{file['added']}[/] [red]-{file['removed']}[/]")
    _print_list(console, "fixed", report["fixed"])
    _print_list(console, "failing", report["still_failing"])
    for finding in report["findings"]:
        _print_list(console, finding["gate"], [finding["message"]])
    _print_facts(report, console)
    if candidates := report.get("candidates"):
        print_candidates(candidates, console)
    if patch:
        lines = printable(patch).splitlines()
        console.print()
        for line in lines[:DIFF_SHOWN]:
            console.print(escape(line), style=DIFF_STYLES.get(line[:1]), soft_wrap=True)
        if len(lines) > DIFF_SHOWN:
            console.print(f"[dim]{len(lines) - DIFF_SHOWN} more lines: sentient diff {thread}[/]")
        console.print()
        if applied:
            console.print(f"applied to {escape(printable(applied))}")
        else:
            kept = "" if verified else " (the best attempt, not verified)"
            console.print(f"your files are as they were{kept}; the patch: sentient diff {thread}")
            console.print(f"apply it: sentient diff {thread} --apply DIR")


def _print_facts(report: Report, console: Console) -> None:
    usage = report["usage"]
    cost = f", {_used(usage)}" if usage["calls"] else ""
    coder = "offline engine" if report["coder"] == "none" else report["coder"]
    attempts = plural(report["attempts"], "attempt")
    console.print(
        f"  coder     {escape(printable(coder))}, {attempts}, {report['seconds']} s{cost}"
    )
    roles = report.get("roles", {})
    _print_list(console, "of that", [f"{role}: {_used(used)}" for role, used in roles.items()])


def print_candidates(best_first: Sequence[Result], console: Console) -> None:
    """Write a table of several candidates, the one that was chosen first."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title in ("", "CANDIDATE", "FIXED", "BROKEN", "LINES", "TESTED", "TRIES", "TOKENS"):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    table.add_column("CAME TO", overflow="fold")
    for place, result in enumerate(best_first):
        usage, covered = result["usage"], result["covered"]
        facts = (
            "" if place else "  chosen",
            result["candidate"],
            result["fixed"],
            result["regressions"],
            result["lines"],
            "?" if covered is None else f"{covered:.0%}",
            result["attempts"],
            usage["input_tokens"] + usage["output_tokens"],
        )
        table.add_row(*map(str, facts), escape(printable(result["why"])))
    console.print(table)


def _used(usage: Usage) -> str:
    """What calls of a model consumed, in words; reports of older versions know less of it."""
    about = "about " if usage.get("estimated") else ""
    tokens = f"{about}{usage['input_tokens']} + {usage['output_tokens']} tokens"
    usd = usage.get("usd")
    price = "price unknown" if usd is None else f"{about}${usd:.4f}"
    again = f", {retries} sent again" if (retries := usage.get("retries")) else ""
    return f"{plural(usage['calls'], 'model call')}{again}, {tokens}, {price}"


def _print_list(console: Console, label: str, items: list[str], limit: int = 10) -> None:
    for number, item in enumerate(items[:limit]):
        console.print(f"  {label if number == 0 else '':<9} {escape(printable(item))}")
    if len(items) > limit:
        console.print(f"  {'':<9} and {len(items) - limit} more")
