"""Retention: texts whose time is over are deleted, unless a hold stands; what was decided stays, and stays provable."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import yaml
from pydantic import ValidationError

from ..contracts.errors import CallError, SetupError
from ..contracts.keeping import TextsPruned, text_hash
from ..contracts.payload import PayloadAt
from ..contracts.protection import AgedPayload, KeepingStore
from ..contracts.retention import RetentionPolicy
from ..contracts.values import written_time
from .clock import Clock, SystemClock
from .journal import Journal

_TOGETHER = 1_000
"""Texts that go in one transaction, under one record."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """Texts whose time is over: where they are, how many of each class, how many a hold keeps, and how many are `open`:
    they stay, for their conversations, `unended` of them, have not ended."""

    places: tuple[tuple[str, PayloadAt], ...]
    kinds: Mapping[str, int]
    held: int
    open: int = 0
    unended: int = 0

    @property
    def conversations(self) -> int:
        return len({stream for stream, _ in self.places})


def policy_in(path: Path) -> RetentionPolicy:
    """The policy of a YAML file. Raises `SetupError` where there is none, `CallError` with what is wrong in it."""
    try:
        written = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise SetupError(
            f"The policy cannot be read: {error.strerror}.", where=str(path), fix="Give its file with --policy."
        ) from error
    except yaml.YAMLError as error:
        raise CallError("The policy is no YAML.", where=str(path), fix=str(error).splitlines()[0]) from error
    try:
        policy = RetentionPolicy.model_validate(_as_written(written))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in fault["loc"]) or "the policy"
        raise CallError(
            f"In {place}: {fault['msg'][0].lower()}{fault['msg'][1:]}.",
            where=str(path),
            fix="A policy is `rules:`, a list of {days, kind, event}, and `least_days:`.",
        ) from error
    return policy.checked()


def _as_written(written: object) -> object:
    """A list in YAML is a tuple of ours."""
    if isinstance(written, dict) and isinstance(written.get("rules"), list):
        return {**written, "rules": tuple(written["rules"])}
    return written


class Retention:
    """What is overdue in one log, and its end. Only conversations that have ended lose texts."""

    def __init__(self, store: KeepingStore, policy: RetentionPolicy, clock: Clock | None = None) -> None:
        self.store, self.policy, self._clock = store, policy.checked(), clock or SystemClock()
        self.journal = Journal(store, self._clock)

    def overdue(self) -> Overdue:
        """By this machine's clock: `interlock doctor` looks at it."""
        return self._told(*self._due())

    def prune(self, *, by: str, ground: str = "") -> Overdue:
        """Delete what is overdue, and record first which texts; a crash in between leaves the rest for the next run. A
        hold that is placed meanwhile stands above what is left. Returns what went."""
        holds, taken = self.journal.holds(), list[AgedPayload]()
        left, held = self._due()
        while left:
            if (now := self.journal.holds()) != holds:
                holds, (left, held) = now, self._due()
                continue
            piece, left = left[:_TOGETHER], left[_TOGETHER:]
            self._take(piece, by, ground)
            taken += piece
        if taken:
            self.store.scrub()
        return self._told(taken, held)

    def _told(self, texts: Sequence[AgedPayload], held: int) -> Overdue:
        kinds = Counter(one.kind for one in texts)
        places = tuple((one.stream, one.at) for one in texts)
        stay = self._over(ended=False)
        unended = len({one.stream for one in stay})
        return Overdue(places, dict(sorted(kinds.items())), held, len(stay), unended)

    def _over(self, *, ended: bool) -> list[AgedPayload]:
        """The texts whose time is over, held or not."""
        now = self._clock.now()
        shortest = min(rule.days for rule in self.policy.rules)
        return [
            one
            for one in self.store.aged(written_time(now - timedelta(days=shortest)), ended=ended)
            if (days := self.policy.days_for(one.kind, one.event)) is not None
            and one.when < written_time(now - timedelta(days=days))
        ]

    def _due(self) -> tuple[list[AgedPayload], int]:
        """What is overdue, and how many texts more a hold keeps."""
        holds = self.journal.holds().values()
        subjects = {hold.subject for hold in holds if hold.subject}
        streams = {hold.conversation for hold in holds if hold.conversation}
        due, held = list[AgedPayload](), 0
        for one in self._over(ended=True):
            if one.subject in subjects or one.stream in streams:
                held += 1
            else:
                due.append(one)
        return due, held

    def _take(self, texts: Sequence[AgedPayload], by: str, ground: str) -> None:
        places = tuple((one.stream, one.at) for one in texts)
        self.journal.note(
            TextsPruned(
                by=by,
                ground=ground,
                policy=self.policy.digest,
                conversations=len({stream for stream, _ in places}),
                payloads=len(places),
                texts=tuple(sorted(text_hash(stream, at.version, at.name) for stream, at in places)),
            )
        )
        self.store.prune(places)
