"""Answers to a thread's question, as people type them."""

import json
import shlex
from typing import Any

from pydantic import ValidationError

from nodes.questions import ANSWERS
from tools.errors import UsageError


def read_answer(question: dict[str, Any], text: str) -> Any:
    """The answer in `text`: words, or a JSON object where it starts with a brace.

    Raises:
        UsageError: it is none that this question can be answered with; nothing was changed.
    """
    schema = ANSWERS[question["kind"]]
    allowed = ", ".join(map(repr, schema.EXAMPLES))
    try:
        given = json.loads(text) if text.lstrip().startswith("{") else text
        schema.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        problem = f"{place}: {first['msg']}" if place else first["msg"]
        raise UsageError(f"no answer: {problem}; allowed: {allowed}") from error
    except ValueError as error:
        raise UsageError(f"the answer is not valid JSON: {error}; allowed: {allowed}") from error
    return given


def commands(thread: str, question: dict[str, Any]) -> dict[str, str]:
    """Every way to answer as a command line, and what it does."""
    start = f"sentient resume {thread} --answer"
    return {
        f"{start} {shlex.quote(example)}": meaning
        for example, meaning in question.get("answers", {}).items()
    }
