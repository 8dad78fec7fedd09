"""What goes wrong at a model endpoint: which failures pass, how long to wait, what to do."""

import math
import time
from email.utils import mktime_tz, parsedate_tz
from typing import Any

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelConnectionError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from tenacity import RetryCallState, wait_exponential_jitter

from tools.errors import ModelError, ModelRequestError, ModelUnavailableError

TRIES = 8
"""Times a request is sent before a failing endpoint ends the run."""

BACKOFF = wait_exponential_jitter(initial=1, max=60, jitter=1)
"""Seconds until the next try where the endpoint does not say."""

BUSY = frozenset({408, 409, 425, 429, *range(500, 600)} - {501})
"""Statuses of a failure that may pass."""

NO_ENDPOINT = "no endpoints found"
"""How a router says in a 404 that it knows the model, but nobody who takes this form of request."""

NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "exceeded your current quota")
"""How a 429 says that waiting will not help."""

HINTS = {
    401: "check OPENAI_API_KEY",
    402: "add credit to the account of OPENAI_API_KEY, or use another key",
    403: "OPENAI_API_KEY may not use this model: use another key or another --model",
    404: "check --model and OPENAI_BASE_URL",
}


def as_model_error(error: Exception) -> ModelError:
    """A failed call as an error of ours: fatal, refused in this form, or one that may pass."""
    if isinstance(error, ModelTimeoutError | TimeoutError):
        hint = "raise SENTIENT_MODEL_TIMEOUT_S, or resume when the endpoint is quicker"
        return ModelUnavailableError("the model did not answer in time", hint=hint)
    if isinstance(error, ModelConnectionError):
        return ModelUnavailableError(
            f"cannot reach the model endpoint: {_reason(error)}", hint="check OPENAI_BASE_URL"
        )
    if isinstance(error, ContextOverflowError):
        return ModelRequestError(
            f"the conversation is too long for the model: {_reason(error)}",
            hint="use a model with a larger context",
        )
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        if isinstance(error, ModelRateLimitError):
            status = 429
        else:
            return _unreadable(error)
    return _refusal(error, status)


def _refusal(error: Exception, status: int) -> ModelError:
    text = f"the model endpoint says {status}: {_reason(error)}"
    if status == 429 and any(word in f"{error} {_code(error)}".lower() for word in NO_CREDIT):
        return ModelError(text, hint=HINTS[402])
    if status in BUSY:
        busy = ModelUnavailableError(text, hint="resume when it is up, or use another endpoint")
        busy.wait_s = retry_after(getattr(getattr(error, "response", None), "headers", {}))
        return busy
    if status in HINTS and NO_ENDPOINT not in text.lower():
        return ModelError(text, hint=HINTS[status])
    hint = "see whether the model takes tools" if "tool" in text else "check --model"
    if "max_tokens" in text or "max_completion_tokens" in text or "context length" in text:
        hint = "lower SENTIENT_ANSWER_TOKENS"
    return ModelRequestError(text, hint=hint)


def _unreadable(error: Exception) -> ModelError:
    """What is no answer in the form of the API: it broke off, or something else answered."""
    kind = type(error).__name__
    return ModelUnavailableError(
        f"the model endpoint's answer cannot be read: {kind}: {_reason(error)}",
        hint="check OPENAI_BASE_URL",
    )


def retry_after(headers: Any, now: float | None = None) -> float | None:
    """Seconds that the headers of an answer ask to wait: a number, or until a date."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = str(headers.get(name) or "")
        try:
            seconds = float(value) * scale
        except ValueError:
            date = parsedate_tz(value)
            if date is None:
                continue
            seconds = mktime_tz(date) - (time.time() if now is None else now)
        if not math.isnan(seconds):
            return max(0.0, seconds)
    return None


def wait_s(state: RetryCallState) -> float:
    """Seconds until the next try: as the endpoint says, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    wanted = error.wait_s if isinstance(error, ModelUnavailableError) else None
    return BACKOFF(state) if wanted is None else wanted


def _code(error: Exception) -> str:
    return f"{getattr(error, 'code', '')} {getattr(error, 'type', '')}"


def _reason(error: Exception) -> str:
    """What the endpoint says, on one line of bounded length."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else ""
    return " ".join(str(said or error).split())[:300]
