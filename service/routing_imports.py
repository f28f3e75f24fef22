"""Imported conversations through a router: what it measures today on each message of the customer, and would say.

Nobody of ours routed them, so there is no decision to compare with. What can stand beside today's outcome was brought
with the import: marks that are named as labels of the router are, and a label that the record has for the conversation.
Each message is taken for itself: no question that it answers, no label that has the conversation, no model.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..contracts.errors import CallError
from ..contracts.flow import RouterSpec, RouteState
from ..contracts.imported import ConversationImported, MessageImported
from ..contracts.payload import Payload, PayloadAt
from ..contracts.routing import RoutingDecision, RoutingEvidence
from ..contracts.values import NAME, fixed, listed
from ..fsm.program import Program
from ..fsm.replay import Recorded, check_import
from ..fsm.route import BLOCKED, choose, evidence

Unread = Literal["erased", "no_text"]
"""Why a message was not measured: its text is gone, or it never had one (an image, for instance)."""
Texts = Mapping[PayloadAt, Payload]


@dataclass(frozen=True, slots=True)
class RoutedImport:
    """One message of a customer. `labels` are those recorded for it; `scores` today's of them and of the outcome, where
    the classifier scored the message at all."""

    stream: str
    version: int
    first: bool
    """The conversation's first with a text."""
    labels: tuple[str, ...]
    decided: RoutingDecision
    evidence: RoutingEvidence
    scores: Mapping[str, str]

    @property
    def agrees(self) -> bool:
        return self.decided.outcome in self.labels


@dataclass
class RoutedImports:
    """What came of all of them. `moved` counts (recorded label, today's outcome) where they differ."""

    conversations: int = 0
    messages: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    first: Counter[str] = field(default_factory=Counter)
    """Outcomes of each conversation's first message alone."""
    stages: Counter[str] = field(default_factory=Counter)
    needs_model: int = 0
    """Of those that are unsure: the router's model would be asked."""
    unread: Counter[Unread] = field(default_factory=Counter)
    compared: int = 0
    agreed: int = 0
    moved: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[RoutedImport] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    """Labels of records that the router does not have: nothing to compare with."""

    def take(self, found: RoutedImport) -> None:
        outcome = found.decided.outcome
        self.outcomes[outcome] += 1
        self.first[outcome] += found.first
        self.stages[found.decided.stage] += 1
        self.needs_model += found.decided.asks_model
        if not found.labels:
            return
        self.compared += 1
        if found.agrees:
            self.agreed += 1
            return
        self.moved[found.labels[0], outcome] += 1
        self.differences.append(found)


class ImportRouter:
    """Routes imported conversations by one router of a flow, and keeps the sums in `found`."""

    def __init__(self, program: Program, router: str = "", label_at: str = "") -> None:
        """`router` may be left out where the flow has one; `label_at` is the path (`a.b`) of a label in what the record
        says besides its messages. Raises `CallError` where it is not clear which router is meant."""
        self.program = program
        self.router = program.routers[_named(program, router)]
        self.found = RoutedImports()
        known = program.code.classifiers
        self._classifier = known.get(self.router.classifier or "")
        self._screener = known.get(self.router.screen_classifier or "")
        self._label_at = label_at

    def take(self, stream: str, entries: Sequence[Recorded], texts: Callable[[], Texts]) -> None:
        """Route each message of the customer in one imported conversation.

        Raises `LogBroken` where the stream holds anything that was decided here.
        """
        if not check_import(stream, entries):
            raise CallError(
                "The conversation was led here.", where=f"conversation {stream}", fix="Its own decisions are replayed."
            )
        read = texts()
        label = self._label_of(entries[0], read)
        self.found.conversations += 1
        first = True
        for version, message in _of_customers(entries):
            self.found.messages += 1
            text = read.get(PayloadAt(version=version, name="text")) if message.text is not None else None
            if text is None:
                self.found.unread["no_text" if message.text is None else "erased"] += 1
            else:
                marked = tuple(one for one in message.marks if one in self.router.labels)
                labels = tuple(dict.fromkeys((*marked, *((label,) if first and label else ()))))
                self.found.take(self._routed(stream, version, first, labels, text.text))
            first = first and message.text is None

    def _routed(self, stream: str, version: int, first: bool, labels: tuple[str, ...], text: str) -> RoutedImport:
        measured = evidence(self.router, text, classifier=self._classifier, screener=self._screener)
        decided = choose(self.router, measured)
        scores: dict[str, str] = {}
        if labels and decided.outcome not in labels and measured.scores and self._classifier is not None:
            # The evidence holds the best few; the recorded label may be further down.
            every = dict(self._classifier.score(text)[0])
            scores = {one: fixed(every[one]) for one in (*labels, decided.outcome) if one in every}
        return RoutedImport(stream, version, first, labels, decided, measured, scores)

    def _label_of(self, beginning: Recorded, texts: Texts) -> str:
        """The record's label for the conversation, where it has one that the router has too."""
        if not self._label_at or not isinstance(beginning.event, ConversationImported):
            return ""
        payload = texts.get(PayloadAt(version=0, name="about"))
        if payload is None and beginning.event.about is not None:
            self.found.unknown["(erased)"] += 1
            return ""
        found: Any = json.loads(payload.text) if payload is not None else None
        for step in self._label_at.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, str):
            return ""
        if found in self.router.labels:
            return found
        self.found.unknown[found if NAME.fullmatch(found) else "(no name)"] += 1
        return ""


def outcomes_of(router: RouterSpec) -> tuple[str, ...]:
    """Everything that a message can come to, in the order in which it is told."""
    return (*router.labels, "unsure", BLOCKED)


def _of_customers(entries: Sequence[Recorded]) -> Iterator[tuple[int, MessageImported]]:
    for version, one in enumerate(entries):
        if isinstance(one.event, MessageImported) and one.event.role == "user":
            yield version, one.event


def _named(program: Program, router: str) -> str:
    where = f"flow {program.ref.name!r} v{program.ref.version}"
    if not program.routers:
        raise CallError("The flow has no router.", where=where, fix="Name a flow that routes messages.")
    if router and router not in program.routers:
        raise CallError(f"The flow has no router {router!r}.", where=where, fix=f"It has {listed(program.routers)}.")
    if router:
        return router
    # The scopes of agents are routers too; what customers' messages come to first are those of route states.
    routing = dict.fromkeys(one.router for one in program.flow.states if isinstance(one, RouteState))
    choice = tuple(routing or program.routers)
    if len(choice) > 1:
        raise CallError(
            f"The flow has {len(choice)} routers.", where=where, fix=f"Say which with --router: {listed(choice)}."
        )
    return choice[0]
