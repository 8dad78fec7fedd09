"""The engineering graph: prepare, planner, coder ⇄ act, tester, reviewer, deliver.

Where a person may be asked there is a node of its own: approval, impossible, budget, disputed.
Several candidates are worked out between spread and choose.
"""

from collections.abc import Callable
from functools import lru_cache, partial

from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from checkpoints.ledger import Ledger
from graphs import routing
from graphs.candidates import candidate_node
from graphs.durable import DurableGraph
from nodes.act import act
from nodes.choose import choose, spread
from nodes.coder import coder
from nodes.context import Services, node
from nodes.deliver import deliver
from nodes.desktops import ThreadDesktops
from nodes.model.client import make_model
from nodes.planner import planner
from nodes.prepare import prepare
from nodes.questions import approval, budget, disputed, impossible
from nodes.reviewer import reviewer
from nodes.state import Input, State
from nodes.tester import tester
from tools.connection import Connection
from tools.errors import DesktopGoneError, DesktopUnreachableError
from tools.settings import Settings

RECURSION_LIMIT = 2000
"""Super-steps of a run; attempts and steps are bounded far below it."""

LOST_DESKTOP = (
    RetryPolicy(initial_interval=0.5, max_attempts=2, retry_on=DesktopUnreachableError),
    RetryPolicy(initial_interval=0.5, max_attempts=3, retry_on=DesktopGoneError),
)
"""A node whose desktop is lost runs again, from the snapshot its checkpoint names (law 4).

A lost connection is tried once more; then the run fails, and its state is kept.
"""

Model = Callable[[str], BaseChatModel | None]


def make_services(settings: Settings, model: Model | None = None) -> Services:
    """The services of a process; `model` replaces how models are made from their names."""
    ledger, connection = Ledger(settings.home / "ledger.db"), Connection(settings)
    return Services(
        settings=settings,
        sink=connection.sink,
        desktops=ThreadDesktops(
            connection, settings.desktop_timeout_s, settings.home, ledger.inventory
        ),
        ledger=ledger,
        model_for=model or lru_cache(partial(make_model, settings)),
    )


def make_graph(
    checkpointer: BaseCheckpointSaver[str] | None = None,
    settings: Settings | None = None,
    model: Model | None = None,
) -> DurableGraph:
    """Compile the graph. Nothing is started or opened before the first node runs."""
    settings = settings or Settings()
    services = make_services(settings, model)
    builder = StateGraph(State, input_schema=Input)
    for role in (prepare, planner, spread, choose, coder, act, tester, reviewer, deliver):
        builder.add_node(role.__name__, node(services, role), retry_policy=LOST_DESKTOP)
    builder.add_node("candidate", candidate_node(services, LOST_DESKTOP))
    for question in (approval, impossible, budget, disputed):
        builder.add_node(question.__name__, node(services, question))
    builder.add_edge(START, "prepare")
    builder.add_edge("prepare", "planner")
    builder.add_conditional_edges("planner", routing.after_planner)
    builder.add_conditional_edges("approval", routing.after_approval)
    builder.add_conditional_edges("spread", routing.to_candidates, ["candidate"])
    builder.add_edge("candidate", "choose")
    builder.add_conditional_edges("choose", routing.after_choose)
    builder.add_conditional_edges("coder", routing.after_coder)
    builder.add_conditional_edges("act", routing.after_act)
    builder.add_conditional_edges("tester", routing.after_tester)
    builder.add_conditional_edges("reviewer", routing.after_reviewer)
    builder.add_conditional_edges("disputed", routing.after_disputed)
    builder.add_conditional_edges("impossible", routing.after_impossible)
    builder.add_conditional_edges("budget", routing.after_budget)
    builder.set_finish_point("deliver")
    compiled = builder.compile(checkpointer=checkpointer, name="engineering")
    durable = DurableGraph(leases=settings.leases, sink=services.sink, **vars(compiled))
    return durable.with_config(recursion_limit=RECURSION_LIMIT)


graph = make_graph()
"""The default instance, for LangGraph Studio and the Agent Server, which bring their own saver."""
