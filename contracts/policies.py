"""Policies: temporal rules over what happens in a conversation, in the patterns of Dwyer, Avrunin and Corbett (1999).

One policy is one of: absence (`never`), precedence (`never` with `unless_before`), existence (`must`), bounded
existence (`at_most`) and response (`every` with `then`), within a scope: globally, `before` or `until` something,
`after` something, or between (`after` with `before` or `until`). What it speaks of are words, such as `tool:refund`
or `decided:review.approved`; a name alone is the state entered or the tool asked of that name.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .values import NAME, Count, Name, Value, added

WORD_KINDS = (
    "enter",
    "end",
    "tool",
    "done",
    "approved",
    "decided",
    "confirmed",
    "result",
    "label",
    "limit",
    "input",
    "mark",
)
"""What stands before the colon of a word; besides, there is the word `message`."""
MESSAGE = "message"
"""The word for a message of the customer that was taken."""
Word = Annotated[str, Field(pattern=rf"^(({'|'.join(WORD_KINDS)}):)?{NAME.pattern}(\.{NAME.pattern})?$")]
"""One observable event, or a name alone."""
Words = tuple[Word, ...]
"""Any of them."""
Pattern = Literal["absence", "precedence", "existence", "bounded", "response", "none"]
MOST_COUNTED = 100
"""The largest number under `at_most`."""
MOST_STAGES = 8
"""The most steps under `unless_before`."""


class Policy(Value):
    """One rule. Scopes leave out the events that open and close them.

    `before` is judged once its event comes, and never where it does not; `until` whether it comes or not. With `after`
    either is opened anew by each event of `after`; alone, `after` is opened by the first.
    """

    name: Name
    says: str = ""
    """The rule in a sentence, for whoever answers for it."""
    never: Words = ()
    unless_before: tuple[Words, ...] = Field(default=(), max_length=MOST_STAGES)
    """What must have happened before what `never` names: each in this order, each any of several."""
    each: bool = added(False)
    """What `never` names uses up what went before it: the next time needs it anew."""
    must: Words = ()
    """What happens at least once before the scope ends."""
    at_most: dict[Word, Annotated[int, Field(ge=1, le=MOST_COUNTED)]] = {}
    """How often each may happen."""
    every: Words = ()
    then: Words = ()
    """What follows each of `every` before the scope ends."""
    enforced: bool = added(False)
    """The rows alone need not keep it: it is enough that a step which would break it is refused."""
    after: Words = ()
    before: Words = ()
    until: Words = ()

    @property
    def pattern(self) -> Pattern:
        """Which of the patterns this is; `none` where it is none, or several."""
        stand: dict[Pattern, bool] = {
            "precedence" if self.unless_before else "absence": bool(self.never),
            "existence": bool(self.must),
            "bounded": bool(self.at_most),
            "response": bool(self.every),
        }
        found = [pattern for pattern, stands in stand.items() if stands]
        return found[0] if len(found) == 1 else "none"

    @property
    def words(self) -> Words:
        """Everything that it speaks of, as it is written there."""
        stages = (word for stage in self.unless_before for word in stage)
        return tuple(
            dict.fromkeys(
                (
                    *self.never,
                    *stages,
                    *self.must,
                    *self.at_most,
                    *self.every,
                    *self.then,
                    *self.after,
                    *self.before,
                    *self.until,
                )
            )
        )


class Watch(Value):
    """A policy as the small automaton that watches a conversation: it starts in state 0, and each word leads on.

    `steps` has for each word that matters the next state by the present one; any other word changes nothing. In a
    state of `bad` it is broken, for good; in one of `pending` it would be if the conversation ended now.
    """

    name: Name
    steps: Annotated[dict[Word, tuple[Count, ...]], AfterValidator(lambda steps: dict(sorted(steps.items())))]
    bad: tuple[Count, ...] = ()
    pending: tuple[Count, ...] = ()

    def step(self, state: int, word: str) -> int:
        row = self.steps.get(word)
        return state if row is None else row[state]
