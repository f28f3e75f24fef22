"""Routing again: the recorded messages through today's rules and classifier, and whether the label is the same.

It needs the texts. One that was erased, or is not there, is counted and never guessed. What a person picked, what was
queued and what a model answered stands in the log and is taken from there: no model is asked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..contracts.events import RoutingDecided
from ..contracts.flow import CollectState, RouterSpec, RouteState
from ..contracts.payload import Payload, PayloadAt
from ..contracts.routing import RoutingDecision, RoutingEvidence
from ..fsm.conversation import Conversation
from ..fsm.evolve import evolve
from ..fsm.program import Program
from ..fsm.replay import Recorded
from ..fsm.route import choose, evidence

Standing = Literal["same", "other", "needs_model", "erased", "no_router"]
"""`needs_model`: today the router's model would be asked, which it was not. `no_router`: today's flow has no route
state of that name."""


@dataclass(frozen=True, slots=True)
class Routed:
    """One recorded routing decision, and today's; `decided` and `evidence` are None where none could be made."""

    stream: str
    version: int
    standing: Standing
    recorded: RoutingDecided
    decided: RoutingDecision | None = None
    evidence: RoutingEvidence | None = None


@dataclass
class Rerouted:
    """What routing conversations again gave; `moved` counts (from, to)."""

    standings: Counter[Standing] = field(default_factory=Counter)
    moved: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: Routed | None = None
    others: list[Routed] = field(default_factory=list)

    @property
    def decisions(self) -> int:
        return sum(self.standings.values())

    def take(self, found: Iterable[Routed]) -> None:
        for one in found:
            self.standings[one.standing] += 1
            if one.standing == "other" and one.decided is not None:
                self.moved[one.recorded.decision.outcome, one.decided.outcome] += 1
                self.others.append(one)
                self.first = self.first or one


def routed_again(
    program: Program, stream: str, entries: Sequence[Recorded], texts: Mapping[PayloadAt, Payload]
) -> Iterable[Routed]:
    """Each routing decision of the stream with what `program` decides today. An agent's scope is not looked at, nor
    are messages that a form took for answers."""
    conversation = Conversation(id=stream)
    for version, one in enumerate(entries):
        if isinstance(one.event, RoutingDecided) and one.event.agent is None:
            yield _again(program, stream, version, one.event, conversation, texts)
        conversation = evolve(conversation, one.event)


def _again(
    program: Program,
    stream: str,
    version: int,
    event: RoutingDecided,
    conversation: Conversation,
    texts: Mapping[PayloadAt, Payload],
) -> Routed:
    state = program.states.get(event.state)
    name = state.router if isinstance(state, RouteState) else None
    if isinstance(state, CollectState):  # a digression from a form
        name = program.flow.digressions
    router = program.routers.get(name or "")
    if router is None:
        return Routed(stream, version, "no_router", event)
    measured = _measured(program, router, event, conversation, texts)
    if measured is None:
        return Routed(stream, version, "erased", event)
    decided = choose(router, measured)
    if decided.asks_model and not event.decision.asks_model:
        return Routed(stream, version, "needs_model", event, decided, measured)
    same = (decided.outcome, decided.queue) == (event.decision.outcome, event.decision.queue)
    return Routed(stream, version, "same" if same else "other", event, decided, measured)


def _measured(
    program: Program,
    router: RouterSpec,
    event: RoutingDecided,
    conversation: Conversation,
    texts: Mapping[PayloadAt, Payload],
) -> RoutingEvidence | None:
    """Today's evidence; None where the text is gone. What was queued is measured of no text."""
    was = event.evidence
    if was.queued:
        return was
    text = ""
    if event.message:
        found = texts.get(PayloadAt(version=event.message, name="message"))
        if found is None:
            return None
        text = found.text
    classifiers = program.code.classifiers
    digressed = isinstance(program.states[event.state], CollectState)
    made = evidence(
        router,
        text,
        classifier=classifiers.get(router.classifier or ""),
        screener=classifiers.get(router.screen_classifier or ""),
        candidates=() if digressed else conversation.candidates,
        held=was.held,
    )
    return made if was.modelled is None else made.changed(modelled=was.modelled)
