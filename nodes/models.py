"""Talking to a model: how it is made, asked and counted. OpenAI and every compatible server."""

from importlib import resources

from langchain_core.exceptions import ModelConnectionError, ModelTimeoutError
from langchain_core.exceptions import ModelError as ModelCallError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from pydantic import SecretStr

from nodes import events
from nodes.context import Step
from nodes.state import Usage
from tools.errors import ModelError, UsageError
from tools.settings import NO_MODEL, Settings
from tools.toolbox import tool_schemas


def _prompt(role: str) -> SystemMessage:
    text = resources.files("nodes").joinpath(f"prompts/{role}.md").read_text(encoding="utf-8")
    return SystemMessage(text)


PROMPTS = {role: _prompt(role) for role in ("planner", "coder", "reviewer")}
"""The system message of each role that may use a model, from `nodes/prompts`."""


def make_model(settings: Settings, name: str) -> BaseChatModel | None:
    """The model of a name, or None for the offline engine. Reads certificates: blocking.

    Raises:
        UsageError: a model is named, but neither a key nor an endpoint is configured.
    """
    if name == NO_MODEL:
        return None
    if settings.openai_api_key is None and settings.openai_base_url is None:
        raise UsageError(
            f"model {name!r} needs a key or an endpoint",
            hint="set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server",
        )
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 -- half a second that few commands need

    compatible = settings.openai_base_url is not None
    return ChatOpenAI(
        model=name,
        base_url=settings.openai_base_url,
        api_key=settings.openai_api_key or SecretStr("none"),
        timeout=settings.model_timeout_s,
        max_retries=2,
        # compatible servers have the chat API only, whatever a model's name suggests
        use_responses_api=False if compatible else None,
    )


async def ask(
    step: Step,
    model: BaseChatModel,
    messages: list[BaseMessage],
    *,
    attempt: int = 0,
    with_tools: bool = False,
) -> tuple[AIMessage, Usage]:
    """Ask the model once; with tools it may answer with calls of the toolbox.

    What the answer consumed is written to the ledger, and returned for the state.

    Raises:
        ModelError: the endpoint is unreachable, refuses, or does not know the model.
    """
    runnable = model.bind_tools(tool_schemas()) if with_tools else model
    try:
        answer = await runnable.ainvoke(messages)
    except (ModelTimeoutError, TimeoutError) as error:
        hint = "raise SENTIENT_MODEL_TIMEOUT_S"
        raise ModelError("the model did not answer in time", hint=hint) from error
    except ModelConnectionError as error:
        raise ModelError(
            f"cannot reach the model endpoint: {error}", hint="check OPENAI_BASE_URL"
        ) from error
    except ModelCallError as error:
        status = getattr(error, "status_code", type(error).__name__)
        raise ModelError(
            f"the model endpoint answers {status}: {_reason(error)}",
            hint="check --model and OPENAI_API_KEY",
        ) from error
    if not isinstance(answer, AIMessage):
        raise ModelError(f"the model answered with a {type(answer).__name__}")
    return answer, await _counted(step, answer, attempt)


async def _counted(step: Step, answer: AIMessage, attempt: int) -> Usage:
    """Write down what an answer consumed; an endpoint may not say."""
    used = answer.usage_metadata
    await step.record(
        step.services.ledger.save_cost,
        step.thread,
        step.node,
        attempt,
        str(answer.id),
        model=step.model_name,
        input_tokens=used["input_tokens"] if used else None,
        output_tokens=used["output_tokens"] if used else None,
    )
    step.emit(
        events.Cost(
            model=step.model_name,
            input_tokens=used["input_tokens"] if used else None,
            output_tokens=used["output_tokens"] if used else None,
        )
    )
    return Usage(
        calls=1,
        input_tokens=used["input_tokens"] if used else 0,
        output_tokens=used["output_tokens"] if used else 0,
    )


def _reason(error: Exception) -> str:
    body = getattr(error, "body", None)
    return str((body.get("message") if isinstance(body, dict) else "") or error)[:300]
