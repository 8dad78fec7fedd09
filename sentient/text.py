"""What commands print: text made safe for a terminal, and JSON."""

import json
import re
import sys
from typing import Any

CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b."
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
"""Escape sequences (OSC, CSI, two-character ones) and control characters but tab and newline."""


def printable(text: object) -> str:
    """Drop what could steer the terminal: a desktop is hostile, and so is what it prints.

    Bytes that were no UTF-8 become question marks.
    """
    return CONTROL.sub("", str(text)).encode("utf-8", "replace").decode()


def plural(count: int, noun: str) -> str:
    """`1 test`, `2 tests`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def print_json(data: Any) -> None:
    """Write one JSON value to stdout."""
    sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")
