"""Policies over recorded conversations: which keep them, which broke them, and with which event.

One conversation is in memory at a time, and of what it holds only what policies observe is read.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..contracts.envelope import opened
from ..contracts.errors import LogBroken, NotEncodable
from ..contracts.events import ConversationStarted, Event, PolicyKept, ToolRefused
from ..contracts.flow import Flow
from ..contracts.imported import ConversationImported
from ..contracts.policies import Policy
from ..contracts.store import Store, StoredEntry
from ..fsm.policies.alphabet import NOTHING_SEEN, TELLING, observed
from ..fsm.policies.automata import Meanings, applies, as_written, automaton
from ..fsm.policies.words import meanings_of

Standing = Literal["holds", "broken", "open", "not_applicable"]
"""`open`: it holds so far, in a conversation that goes on and still owes something. `not_applicable`: what the policy
is about did not happen within its scope."""
STANDINGS: tuple[Standing, ...] = ("holds", "broken", "open", "not_applicable")
TYPES = frozenset(one.model_fields["type"].default for one in TELLING)
MOST_KEPT = 10_000
"""Breaches that are told one by one; all are counted."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One conversation that broke a policy: the event that did, and for what was owed the event since which it was."""

    policy: str
    conversation: str
    version: int
    at: str
    word: str
    """What happened; empty where the end came first."""
    since: int | None = None


@dataclass
class Judged:
    """How one policy fared."""

    policy: Policy
    counts: dict[Standing, int] = field(default_factory=lambda: dict.fromkeys(STANDINGS, 0))
    refused: int = 0
    """Conversations in which a step that would have broken it had to be refused: the rows alone do not keep it."""


@dataclass
class PolicyAudit:
    """What came of it. `unjudged` are conversations that no policy was asked of."""

    judged: dict[str, Judged] = field(default_factory=dict)
    breaches: list[Breach] = field(default_factory=list)
    conversations: int = 0
    events: int = 0
    unjudged: int = 0
    forks: int = 0
    """Forks that were left out."""

    @property
    def holds(self) -> bool:
        return not any(one.counts["broken"] for one in self.judged.values())


class Judge:
    """Some policies, compiled once for all conversations."""

    def __init__(self, policies: Iterable[Policy], meanings: Meanings = as_written) -> None:
        self.policies = tuple(policies)
        self.watches = tuple(automaton(one, meanings) for one in self.policies)
        self.applying = tuple(applies(one, meanings) for one in self.policies)
        self.words = frozenset(word for one in (*self.watches, *self.applying) for word in one.steps)

    def over(self, entries: Sequence[StoredEntry]) -> list[tuple[Standing, Breach | None]]:
        """How each policy stands after the entries of one conversation. Raises `LogBroken` at one that is no event."""
        number = len(self.policies)
        states, applied, since = [0] * number, [0] * number, [self._owing(at, 0, 0, None) for at in range(number)]
        breaches: list[Breach | None] = [None] * number
        seen, ended, last = NOTHING_SEEN, False, 0
        for entry in entries:
            if entry.type not in TYPES:
                continue
            event = _event(entry)
            words, seen = observed(event, entry.version, seen)
            ended = ended or isinstance(event, ConversationImported)
            for word in words:
                ended = ended or word.startswith("end:")
                last = entry.version
                for at in range(number) if word in self.words else ():
                    applied[at] = self.applying[at].step(applied[at], word)
                    before, states[at] = states[at], self.watches[at].step(states[at], word)
                    if breaches[at] is None and states[at] in self.watches[at].bad:
                        breaches[at] = self._breach(at, entry, word, since[at])
                    since[at] = self._owing(at, before, states[at], since[at], entry.version)
        return [
            self._standing(at, states[at], applied[at], breaches[at], since[at], entries, ended, last)
            for at in range(number)
        ]

    def _owing(self, at: int, before: int, after: int, since: int | None, version: int = 0) -> int | None:
        """The event since which something is owed."""
        pending = self.watches[at].pending
        if after not in pending:
            return None
        return since if before in pending and since is not None else version

    def _breach(self, at: int, entry: StoredEntry, word: str, since: int | None) -> Breach:
        return Breach(self.policies[at].name, entry.stream, entry.version, entry.at, word, since)

    def _standing(
        self,
        at: int,
        state: int,
        applied: int,
        breach: Breach | None,
        since: int | None,
        entries: Sequence[StoredEntry],
        ended: bool,
        last: int,
    ) -> tuple[Standing, Breach | None]:
        if breach is not None:
            return "broken", breach
        if state in self.watches[at].pending:
            end = next((one for one in entries if one.version == last), entries[-1])
            return ("broken", self._breach(at, end, "", since)) if ended else ("open", None)
        return ("holds" if applied in self.applying[at].pending else "not_applicable"), None


def audited_policies(
    store: Store,
    streams: Sequence[str],
    judge_of: Callable[[str], Judge | None],
    progress: Callable[[int], None] | None = None,
) -> PolicyAudit:
    """Every conversation of `streams` judged by the policies that `judge_of` gives it; None leaves it out."""
    audit = PolicyAudit()
    for number, stream in enumerate(streams, 1):
        judge = judge_of(stream)
        if judge is None or not judge.policies:
            audit.unjudged += 1
        else:
            _add(audit, judge, store.read(stream))
        if progress is not None:
            progress(number)
    return audit


def _add(audit: PolicyAudit, judge: Judge, entries: Sequence[StoredEntry]) -> None:
    audit.conversations += 1
    audit.events += len(entries)
    refused = refused_for(entries)
    for policy, (standing, breach) in zip(judge.policies, judge.over(entries), strict=True):
        judged = audit.judged.setdefault(policy.name, Judged(policy))
        judged.counts[standing] += 1
        judged.refused += policy.name in refused
        if breach is not None and len(audit.breaches) < MOST_KEPT:
            audit.breaches.append(breach)


_REFUSING = frozenset({"policy_kept", "tool_refused"})


def refused_for(entries: Iterable[StoredEntry]) -> frozenset[str]:
    """The policies for which a step of this conversation had to be refused while it ran."""
    found: set[str] = set()
    for entry in entries:
        event = _event(entry) if entry.type in _REFUSING else None
        if isinstance(event, PolicyKept | ToolRefused):
            found.update(event.policies)
    return frozenset(found)


def is_fork(store: Store, stream: str) -> bool:
    """Whether the conversation took its beginning from another, whose events would be judged twice."""
    first = next(iter(store.read(stream, limit=1)), None)
    event = None if first is None or first.type != "conversation_started" else _event(first)
    return isinstance(event, ConversationStarted) and event.origin == "forked"


def own_policies(store: Store, flows: Callable[[str], Flow | None]) -> Callable[[str], Judge | None]:
    """Each conversation is judged by the policies of the flow that it began on, as the log keeps it."""
    judges: dict[str, Judge | None] = {}

    def judge_of(stream: str) -> Judge | None:
        summary = store.summary(stream)
        digest = summary.flow_digest if summary is not None else ""
        if digest not in judges:
            flow = flows(digest)
            judges[digest] = None if flow is None else Judge(flow.policies, meanings_of(flow))
        return judges[digest]

    return judge_of


def of_flow(store: Store, streams: Iterable[str], name: str) -> Iterator[str]:
    """The conversations that some version of the flow leads."""
    for stream in streams:
        summary = store.summary(stream)
        if summary is not None and summary.flow_name == name:
            yield stream


def _event(entry: StoredEntry) -> Event:
    try:
        return opened(entry.data)[1]
    except NotEncodable as error:
        raise LogBroken(
            error.what, stream=entry.stream, version=entry.version, fix="Run `interlock verify`."
        ) from error
