"""An agent's scope: what a message must be about for the agent to be asked at all."""

from ..contracts.commands import Routed
from ..contracts.events import RoutingDecided
from ..contracts.flow import AgentState
from .draft import Draft, Route
from .issues import UNSURE
from .route import BLOCKED, choose
from .runs import ask_agent


def begin(draft: Draft, state: AgentState) -> str | None:
    """The agent's first call of a visit; before it, the message in hand is measured against the agent's scope."""
    spec, message = draft.program.agents[state.agent], draft.conversation.turn.message
    if spec.scope is None or not message:
        return ask_agent(draft, state, attempt=1)
    draft.effects.append(Route(state.name, spec.scope, message, ()))
    return None


def awaits_scope(draft: Draft, state: AgentState) -> bool:
    """Whether the agent of the state is to be asked once the message was measured."""
    visit, spec = draft.conversation.visit, draft.program.agents[state.agent]
    fresh = not (visit.scoped or visit.attempts or draft.conversation.at_work)
    return spec.scope is not None and fresh and bool(draft.conversation.turn.message)


def measured(draft: Draft, state: AgentState, body: Routed) -> str | None:
    """Refuse what is out of the agent's scope, on the record; what is unsure is the agent's to answer."""
    spec = draft.program.agents[state.agent]
    decision = choose(draft.program.routers[spec.scope or ""], body.evidence)
    draft.record(
        RoutingDecided(
            state=state.name, message=body.message, evidence=body.evidence, decision=decision, agent=spec.name
        )
    )
    label = decision.outcome
    refused = label == BLOCKED or label in spec.refuses
    outside = label != UNSURE and bool(spec.handles) and label not in spec.handles
    return "refused" if refused or outside else ask_agent(draft, state, attempt=1)
