"""How long texts are kept: rules by class of payload and type of event, the first that matches wins."""

from difflib import get_close_matches
from typing import Annotated, get_args

from pydantic import Field

from .canonical import digest_of
from .errors import CallError
from .events import Event
from .payload import PayloadClass
from .values import Name, Value

Days = Annotated[int, Field(ge=1, le=36_500)]
LEAST_DAYS = 183
"""Six months: what the EU's AI Act asks for logs of high-risk systems (Articles 19 and 26)."""


EVENT_TYPES = frozenset(one.model_fields["type"].default for one in get_args(get_args(Event)[0]))
"""What an event can be called."""


class RetentionRule(Value):
    """Texts of this class (or of any), brought by this type of event (or by any), are kept so many days."""

    days: Days
    kind: PayloadClass | None = None
    event: Name | None = None


class RetentionPolicy(Value):
    """The rules in their order. What no rule matches is kept. No rule may be shorter than `least_days`."""

    rules: tuple[RetentionRule, ...]
    least_days: Days = LEAST_DAYS

    @property
    def digest(self) -> str:
        return digest_of(self.model_dump(mode="json"))

    def checked(self) -> "RetentionPolicy":
        """The policy. Raises `CallError` where a rule deletes too early, names no event, or can never match."""
        if not self.rules:
            raise CallError("The retention policy has no rule.", fix="Give `rules`, each with its `days`.")
        for number, rule in enumerate(self.rules, 1):
            if rule.days < self.least_days:
                raise CallError(
                    f"Rule {number} deletes after {rule.days} days; the least is {self.least_days}.",
                    fix="Keep texts longer, or set `least_days` in the policy if another law allows it.",
                )
            if rule.event is not None and rule.event not in EVENT_TYPES:
                close = get_close_matches(rule.event, sorted(EVENT_TYPES), n=1)
                raise CallError(
                    f"Rule {number} is for texts that {rule.event!r} brought, and no event is called so.",
                    fix=f"Did you mean {close[0]!r}?" if close else "`interlock log ID --json` shows the types.",
                )
            above = self.rules[: number - 1]
            if any(one.kind in (None, rule.kind) and one.event in (None, rule.event) for one in above):
                raise CallError(
                    f"Rule {number} can never match: one above it takes everything that it would.",
                    fix="Put the special rule above the general one.",
                )
        return self

    def days_for(self, kind: PayloadClass, event: str) -> int | None:
        """How long such a text is kept; None for as long as the log."""
        for rule in self.rules:
            if rule.kind in (None, kind) and rule.event in (None, event):
                return rule.days
        return None
