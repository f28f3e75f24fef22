"""The cheap model of a router: asked for one of its labels where rules and classifier are unsure.

Its contract is made of the labels, in code: an enum of them and `unsure`. Whatever goes wrong with the call, from a
limit to an answer that is no label, is `unsure`, and the route goes on without it.
"""

from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from ..contracts.canonical import digest_of
from ..contracts.commands import AgentReport
from ..contracts.flow import RouterSpec, RouteState
from ..contracts.routing import ModelLabel, RoutingEvidence
from . import queueing
from .asking import Asking, ask
from .build import schema_bytes, schema_digest
from .draft import Draft
from .issues import UNSURE
from .program import Program
from .route import choose

CONTRACT = "RoutingLabel"


def contract_of(router: RouterSpec) -> type[BaseModel]:
    """The contract of a label: one of the router's, or `unsure`; what each means is its description."""
    return _contract(tuple(router.labels.items()))


@lru_cache(maxsize=256)
def _contract(labels: tuple[tuple[str, str], ...]) -> type[BaseModel]:
    meanings = "; ".join(f"{label}: {says}" for label, says in labels)
    allowed: Any = Literal[(*(label for label, _ in labels), UNSURE)]
    return create_model(
        CONTRACT,
        __config__=ConfigDict(extra="forbid"),
        label=(allowed, Field(description=f"{meanings}; {UNSURE}: none of these, or more than one")),
    )


def router_of(program: Program, state: str) -> RouterSpec:
    """The router of a route state."""
    found = program.states[state]
    return program.routers[found.router if isinstance(found, RouteState) else ""]


def routed(draft: Draft, state: RouteState, message: int, evidence: RoutingEvidence) -> str | None:
    """Decide the route; None while its agent is asked for a label."""
    router = draft.program.routers[state.router]
    decision = choose(router, evidence)
    queueing.decided(draft, state.name, message, evidence, decision)
    if not decision.asks_model or router.agent is None:
        return decision.outcome
    spec = draft.program.agents[router.agent]
    contract = contract_of(router)
    asking = Asking(
        spec=spec,
        attempt=1,
        timeout_seconds=state.timeout_seconds,
        purpose="label",
        contract_bytes=schema_bytes(contract),
        prompt=digest_of({"instructions": spec.instructions, "contract": schema_digest(contract)}),
    )
    stopped = ask(draft, asking)
    return None if stopped is None else _labelled(draft, state, UNSURE, draft.conversation.version - 1)


def answered(draft: Draft, state: RouteState, report: AgentReport, version: int) -> str | None:
    """What the model's label leads to; `version` is the event that recorded it."""
    known = (*draft.program.routers[state.router].labels, UNSURE)
    said = report.label if report.outcome == "done" else None
    return _labelled(draft, state, said if said in known else UNSURE, version)


def _labelled(draft: Draft, state: RouteState, label: str, version: int) -> str | None:
    """Decide again on the same evidence, with the label in it."""
    asked = draft.conversation.visit.routing
    if asked is None:
        return None
    evidence = asked.evidence.changed(modelled=ModelLabel(label=label, event=version))
    decision = choose(draft.program.routers[state.router], evidence)
    queueing.decided(draft, state.name, asked.message, evidence, decision)
    return decision.outcome
