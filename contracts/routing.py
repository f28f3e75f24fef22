"""Routing: what was measured on a message (evidence), and what code decided from it (decision).

Evidence is computed from the text; the decision is computed from the evidence by the core. So a route
is decided again without the text, and a changed threshold is tried on history without it.
"""

from typing import Literal, Protocol

from .values import Decimal6, Digest, Name, Value

RouteStage = Literal["screen", "rules", "picked", "classifier", "none"]


class ScreenVerdict(Value):
    """One screening rule's verdict. A verdict can only close the way, never open one."""

    rule: str
    blocked: bool


class RuleHit(Value):
    """A keyword or pattern rule that matched; rules are tried in the flow's order."""

    label: Name
    rule: str


class Score(Value):
    label: Name
    score: Decimal6


class RoutingEvidence(Value):
    """Everything measured on one message. Scores are in descending order, at most five.

    `scope` answers *is it ours at all?*, the scores *which of ours?*. `picked` is the label that the
    person chose from a clarifying question. `artefact` is the digest of the classifier that scored.
    """

    screen: tuple[ScreenVerdict, ...] = ()
    rules: tuple[RuleHit, ...] = ()
    picked: Name | None = None
    scores: tuple[Score, ...] = ()
    scope: Decimal6 | None = None
    artefact: Digest | None = None


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


class Classifier(Protocol):
    """A trained table that scores a message. Deterministic: the same text gives the same scores anywhere."""

    digest: str
    """SHA-256 of the artefact's bytes; it stands in the flow and in every routing decision."""
    labels: tuple[str, ...]

    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        """All labels with scores in descending order, and the scope score; both between 0 and 1."""
        ...
