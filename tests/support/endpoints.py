"""An endpoint of one model without a socket, and steps of a graph that ask it."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from langchain_openai import ChatOpenAI
from langgraph.graph import StateGraph
from scripted_model import TOKENS, completion
from scripted_stream import events_of

from graphs.engineering import make_services
from nodes.context import Step, node
from nodes.state import State
from tools.settings import Settings

Asking = Callable[[State, Step, ChatOpenAI], Awaitable[None]]


class Endpoint:
    """Refuses what `refuses` gives a reason for; answers the rest, repeating the last answer."""

    def __init__(
        self, *answers: dict[str, Any], refuses: Callable[[dict[str, Any]], str] = lambda _: ""
    ) -> None:
        self.answers, self.refuses = list(answers), refuses
        self.requests: list[dict[str, Any]] = []
        self.tokens = TOKENS

    def __call__(self, request: httpx.Request) -> httpx.Response:
        given = json.loads(request.content)
        self.requests.append(given)
        if reason := self.refuses(given):
            return httpx.Response(400, json={"error": {"message": reason}})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        body = completion(answer, len(self.requests), self.tokens)
        if given.get("stream"):
            return httpx.Response(200, content=b"".join(events_of(body, "counted")))
        return httpx.Response(200, json=body)


async def in_steps(
    endpoint: Endpoint, home: Path, asking: Asking, *states: State, **settings: Any
) -> None:
    """Runs a graph of one node in each of the states, in a process that remembers."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(endpoint)) as client:
        model = ChatOpenAI(
            model="m",
            base_url="http://model/v1",
            api_key="k",
            http_async_client=client,
            max_retries=0,
            stream_usage=True,
        )
        services = make_services(Settings(home=home, model="m", **settings), lambda _: model)

        async def role(state: State, step: Step) -> dict[str, Any]:
            await asking(state, step, model)
            return {}

        builder = StateGraph(State)
        builder.add_node("asking", node(services, role))
        builder.set_entry_point("asking")
        graph = builder.compile()
        try:
            for state in states:
                await graph.ainvoke({"owner": "asking", **state})
        finally:
            services.ledger.close()
