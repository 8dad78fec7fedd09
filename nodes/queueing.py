"""Waiting for a place: a desktop that the server's quota refuses now may be there later."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_before_delay,
    wait_exponential_jitter,
)

from nodes.events import Waiting
from tools.errors import QuotaError

BACKOFF = wait_exponential_jitter(initial=1, max=15, jitter=1)
"""Seconds between two tries."""

T = TypeVar("T")


async def in_queue(
    do: Callable[[], Awaitable[T]], tell: Callable[[Waiting], None], patience_s: float
) -> T:
    """Do it once the server lets us, with a `waiting` event before each pause.

    Raises:
        QuotaError: it did not within `patience_s` seconds.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(QuotaError),
        wait=BACKOFF,
        stop=stop_before_delay(patience_s),
        before_sleep=lambda state: tell(_waiting(state)),
        reraise=True,
    )
    try:
        return await retrying(do)
    except QuotaError as error:
        error.hint = "end other desktops (sentient desktop list), or raise the quota; then resume"
        raise


def _waiting(state: RetryCallState) -> Waiting:
    error = state.outcome.exception() if state.outcome else None
    return Waiting(
        reason=f"in the queue for a desktop: {error.args[0] if error else ''}",
        seconds=round(state.upcoming_sleep, 1),
        tries=state.attempt_number,
    )
