"""Issues that wait their turn: several in one message are taken up one after another, and none is dropped in silence.

A route keeps the further labels of its message in the conversation. A wait state with `next_issue` that is entered
while some wait does not wait: it announces the first of them and takes its row, and the route state behind it decides
for that label at once, without asking anybody.
"""

from typing import Literal

from ..contracts.events import IssuesDropped, RoutingDecided
from ..contracts.flow import NEXT_ISSUE, HumanState, RouteState, WaitState
from ..contracts.routing import Issue, RoutingDecision, RoutingEvidence
from .draft import Draft
from .issues import UNSURE
from .render import CHOICES, places_in
from .route import choose

Reason = Literal["too_many", "ended", "person", "limit"]


def decided(draft: Draft, state: str, message: int, evidence: RoutingEvidence, decision: RoutingDecision) -> None:
    """Record the decision with the issues that wait after it; those beyond the limit are named and told."""
    most = draft.program.flow.limits.issues
    waiting = _waiting(draft, message, decision)
    kept, over = waiting[:most], waiting[most:]
    draft.record(RoutingDecided(state=state, message=message, evidence=evidence, decision=decision, issues=kept))
    if over:  # no row is taken: the first issue goes on
        draft.reach("issues", len(waiting), most)
        _dropped(draft, over, "too_many")


def _waiting(draft: Draft, message: int, decision: RoutingDecision) -> tuple[Issue, ...]:
    """Older issues first. One that is decided for now waits no more, and none waits twice."""
    before = draft.conversation.issues
    if decision.asks_model:
        return before
    if decision.stage == "queued":
        return before[1:]
    if decision.outcome != UNSURE:
        before = tuple(one for one in before if one.label != decision.outcome)
    known = {one.label for one in before}
    fresh = (
        Issue(label=label, message=message, offered=decision.offered if label == UNSURE else ())
        for label in decision.queue
        if label == UNSURE or label not in known
    )
    return (*before, *fresh)


def announced(draft: Draft, state: WaitState) -> str | None:
    """The outcome `next_issue` where an issue waits: the matter before it is over, and the customer is told."""
    if not state.next_issue or not draft.conversation.issues:
        return None
    for name in state.forgets:
        draft.forget(name)
    draft.reply(f"{NEXT_ISSUE}.{draft.conversation.issues[0].label}")
    return NEXT_ISSUE


def taken_up(draft: Draft, state: RouteState) -> str:
    """Decide for the issue that waits first; its evidence names the message that it came from."""
    issue = draft.conversation.issues[0]
    evidence = RoutingEvidence(queued=(issue.label,), offered=issue.offered)
    decision = choose(draft.program.routers[state.router], evidence)
    decided(draft, state.name, issue.message, evidence, decision)
    return decision.outcome


def question_of(draft: Draft, state: WaitState) -> str:
    """The text that a wait state says. One that offers two labels where there is one, or none, says the flow's phrase
    `one_choice` or `no_choice` instead, if the flow has it."""
    left = len(draft.conversation.candidates)
    phrase = ("no_choice", "one_choice")[left] if left < len(CHOICES) else ""
    offers = CHOICES[-1] in places_in(state.say)
    return f"phrase.{phrase}" if offers and phrase in draft.program.flow.phrases else f"state.{state.name}"


def handed_over(draft: Draft, state: HumanState) -> None:
    """A person takes the whole case, with what still waits; one who only approves a step does not."""
    if state.approves is None:
        dropped(draft, "person")


def dropped(draft: Draft, reason: Reason, *, told: bool = True) -> None:
    """No issue waits any more: they are named, and told to the customer where the flow has a phrase for it."""
    if draft.conversation.issues:
        _dropped(draft, draft.conversation.issues, reason, told=told)


def _dropped(draft: Draft, issues: tuple[Issue, ...], reason: Reason, *, told: bool = True) -> None:
    labels = tuple(one.label for one in issues)
    draft.record(IssuesDropped(labels=labels, reason=reason))
    if told and "issues_dropped" in draft.program.flow.phrases:
        draft.reply(f"issues_dropped.{'.'.join(labels)}")
