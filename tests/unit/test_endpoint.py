"""What each failure of a model endpoint means, and how long to wait."""

from email.utils import formatdate
from typing import Any

import httpx
import openai
import pytest
from langchain_openai.chat_models.base import OpenAIRateLimitError
from tenacity import Future, RetryCallState

from nodes.model.endpoint import as_model_error, retry_after, wait_s
from tools.errors import ModelError, ModelRequestError, ModelUnavailableError


class Refused(Exception):
    """A refusal as the client library reports it."""

    def __init__(self, status: int, message: str = "no", **headers: str) -> None:
        super().__init__(message)
        self.status_code, self.body = status, {"message": message}
        self.response = httpx.Response(
            status, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 529])
def test_failure_that_may_pass_is_unavailable(status: int) -> None:
    error = as_model_error(Refused(status))
    assert type(error) is ModelUnavailableError
    assert f"says {status}: no" in str(error)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "check OPENAI_API_KEY"),
        (402, "add credit"),
        (403, "may not use this model"),
        (404, "check --model"),
    ],
)
def test_refusal_of_key_or_model_is_fatal_and_says_what_to_check(status: int, hint: str) -> None:
    error = as_model_error(Refused(status))
    assert type(error) is ModelError
    assert hint in error.hint


def test_used_up_quota_is_fatal_though_it_is_a_429() -> None:
    response = httpx.Response(429, request=httpx.Request("POST", "http://x"))
    body = {"message": "You exceeded it", "code": "insufficient_quota"}
    error = as_model_error(OpenAIRateLimitError("429", response=response, body=body))  # type: ignore[arg-type]
    assert type(error) is ModelError
    assert "add credit" in error.hint


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("max_tokens is too large: 16384", "lower SENTIENT_ANSWER_TOKENS"),
        ("tool_choice is not supported", "takes tools"),
        ("unknown field", "check --model"),
    ],
)
def test_bad_request_says_what_may_be_wrong_with_it(message: str, hint: str) -> None:
    error = as_model_error(Refused(400, message))
    assert type(error) is ModelRequestError
    assert hint in error.hint


@pytest.mark.parametrize(
    ("status", "message"), [(501, "no"), (404, "No endpoints found that support tool use")]
)
def test_form_that_nobody_takes_is_a_bad_request(status: int, message: str) -> None:
    assert type(as_model_error(Refused(status, message))) is ModelRequestError


@pytest.mark.parametrize(
    "broken", [TypeError("null value for 'choices'"), KeyError("message"), openai.OpenAIError("x")]
)
def test_what_is_no_answer_may_pass_and_names_the_endpoint(broken: Exception) -> None:
    error = as_model_error(broken)
    assert type(error) is ModelUnavailableError
    assert "cannot be read" in str(error)
    assert len(str(as_model_error(ValueError("x" * 10_000)))) < 600


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "8"}, 8.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "8"}, 0.25),
        ({"retry-after": formatdate(1_000_030, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(900_000, usegmt=True)}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: Any, seconds: float | None) -> None:
    assert retry_after(headers, now=1_000_000.0) == seconds


def test_wait_is_the_endpoints_or_grows_up_to_a_minute() -> None:
    def waiting(tries: int, error: Exception) -> float:
        state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
        state.attempt_number = tries
        state.outcome = Future.construct(tries, error, has_exception=True)
        return wait_s(state)

    asked = as_model_error(Refused(429, retry_after="7"))
    assert waiting(5, asked) == 7
    waits = [waiting(tries, ModelUnavailableError("down")) for tries in range(1, 9)]
    assert all(2**n <= wait <= 2**n + 1 for n, wait in enumerate(waits[:6]))
    assert max(waits) == 60
