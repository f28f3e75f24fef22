"""Routing: what was measured on a message (evidence), and what code decided from it (decision).

Evidence is computed from the text; the decision is computed from the evidence by the core. So a route
is decided again without the text, and a changed threshold is tried on history without it.
"""

from typing import Literal, Protocol

from .values import Count, Decimal6, Digest, Name, Value, added

RouteStage = Literal["screen", "escalation", "picked", "queued", "rules", "classifier", "model", "sticky", "none"]


class RuleSpec(Value):
    """A routing rule: the label if any phrase or pattern is found. Case is ignored; phrases match whole words."""

    label: Name
    any: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


class RoutingCosts(Value):
    """What a wrong route costs, and what passing a message on costs, in the currency's minor units.

    A label is routed to only if `(1 - p) * misroute < escalation`: its threshold follows.
    """

    escalation: Count
    """Of a message that is not routed: a clarifying question, or a person."""
    misroute: Count = 0
    """Of a message routed to a wrong label; 0 where only `labels` have a cost."""
    labels: dict[Name, Count] = {}
    """The same for single labels, where it is another."""


class ScreenVerdict(Value):
    """One screening rule's verdict. A verdict can only close the way, never open one."""

    rule: str
    blocked: bool
    score: Decimal6 | None = added(None)
    """How much it looks like an attack, where a classifier said so."""


class RuleHit(Value):
    """A keyword or pattern rule that matched; rules are tried in the flow's order."""

    label: Name
    rule: str


class Score(Value):
    label: Name
    score: Decimal6


class RoutingPart(Value):
    """What was measured on one clause of a message; clauses are in the message's order."""

    rules: tuple[RuleHit, ...] = ()
    scores: tuple[Score, ...] = ()
    scope: Decimal6 | None = None


class ModelLabel(Value):
    """What the agent that was asked for a label answered: one of the router's labels, or `unsure`.

    `event` is the version of the event that recorded the answer. A call that failed counts as `unsure`.
    """

    label: Name
    event: Count


class RoutingEvidence(Value):
    """Everything measured on one message. Scores are in descending order.

    `scope` answers *is it ours at all?*, the scores *which of ours?*. `picked` is the label that the
    person chose from a clarifying question. `artefact` is the digest of the classifier that scored.
    """

    screen: tuple[ScreenVerdict, ...] = ()
    escalations: tuple[RuleHit, ...] = added(())
    rules: tuple[RuleHit, ...] = ()
    picked: Name | None = None
    scores: tuple[Score, ...] = ()
    scope: Decimal6 | None = None
    artefact: Digest | None = None
    independent: bool = added(False)
    """Whether each score is of its own label alone, so that several may be high."""
    parts: tuple[RoutingPart, ...] = added(())
    """Where a message has several clauses and the router listens for several issues."""
    held: Name | None = added(None)
    """The label that has the conversation."""
    queued: tuple[Name, ...] = added(())
    """Labels of an earlier message that are to be taken up now; nothing was measured."""
    offered: tuple[Name, ...] = added(())
    """Of the earlier message: the labels for the clarifying question, where `unsure` is queued."""
    modelled: ModelLabel | None = added(None)


class Issue(Value):
    """A label that waits to be taken up; `message` is the version of the message that it was found in.

    `offered` are the labels to ask about where it is `unsure`.
    """

    label: Name
    message: Count
    offered: tuple[Name, ...] = ()


class StageVerdict(Value):
    """What one stage said: `said` is a fixed phrase, never the person's words."""

    stage: RouteStage
    said: str


class RoutingDecision(Value):
    """The outcome (`a label`, `unsure` or `blocked`), which stage chose it, and every stage's verdict."""

    outcome: Name
    stage: RouteStage
    verdicts: tuple[StageVerdict, ...]
    threshold: Decimal6 | None = None
    margin: Decimal6 | None = None
    scope: Decimal6 | None = None
    candidates: tuple[Name, ...] = ()
    """The two best labels, for a clarifying question."""
    queue: tuple[Name, ...] = added(())
    """The issues to be taken up afterwards, in order: labels, and last `unsure` where one is to be asked about."""
    offered: tuple[Name, ...] = added(())
    """The labels for the clarifying question, where `unsure` is queued."""
    asks_model: bool = added(False)
    """The router's agent is to be asked first; until then the outcome stands at `unsure`."""


class Classifier(Protocol):
    """A trained table that scores a message. Deterministic: the same text gives the same scores anywhere.

    All scores together are 1; a classifier that has an attribute `independent` which is True scores each
    label for itself, so that a message may have several.
    """

    digest: str
    """SHA-256 of the artefact's bytes; it stands in the flow and in every routing decision."""
    labels: tuple[str, ...]

    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        """All labels with scores in descending order, and the scope score; both between 0 and 1."""
        ...
