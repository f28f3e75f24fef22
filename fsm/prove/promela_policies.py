"""Policies in a Promela model, read from their definitions: which stretch of a conversation is judged is a choice.

A scope that opens again and again is many stretches, and each must hold by itself. The model chooses one of them where
it opens, so that SPIN tries each; nothing here is shared with the automata of `fsm/policies`. A word such as
`enter:desk` is a macro, put wherever the model does what the word stands for.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...contracts.flow import AgentState, Flow
from ...contracts.policies import MESSAGE, Policy
from ..policies.words import meanings_of

MODELLED = frozenset({"enter", "end", "tool", "done", "approved", "decided", "input", "label", "result"})
"""Kinds of words that the model has; `limit`, `confirmed` and `mark` it has not."""
WAITING, OPEN, OVER = 0, 1, 2
LOST = 255


def is_modelled(flow: Flow, policy: Policy) -> bool:
    """Whether the model has every word of the policy: what an agent's tools do is no step of it."""
    by_agents = {tool for one in flow.states if isinstance(one, AgentState) for tool in one.tools}
    meant = meanings_of(flow)
    for word in (one for written in policy.words for one in meant(written)):
        kind, _, name = word.partition(":")
        if word != MESSAGE and (kind not in MODELLED or word == "result:late"):
            return False
        if kind in ("tool", "done", "approved") and name in by_agents:
            return False
    return True


@dataclass(frozen=True)
class Watcher:
    """One policy: `number` names its variables."""

    flow: Flow
    policy: Policy
    number: int

    def meant(self, words: Iterable[str]) -> frozenset[str]:
        meanings = meanings_of(self.flow)
        return frozenset(one for word in words for one in meanings(word))

    @property
    def words(self) -> frozenset[str]:
        return self.meant(self.policy.words)

    def declared(self) -> Iterator[str]:
        opened = WAITING if self.policy.after else OPEN
        yield f"  byte scope_{self.number} = {opened}, been_{self.number} = 0; bit broken_{self.number} = 0;"
        for place in range(len(self.policy.at_most)):
            yield f"  byte times_{self.number}_{place} = 0;"

    def broken(self) -> str:
        return f"broken_{self.number} = 1; BROKEN(broken_{self.number})"

    def on(self, word: str) -> str:
        """What the word does to the policy."""
        at, policy = self.number, self.policy
        closes, opens = word in self.meant(policy.before or policy.until), word in self.meant(policy.after)
        inside = f"{self._judged('close')}scope_{at} = {OVER}" if closes else self._inside(word)
        begin = f" :: scope_{at} == {WAITING} -> scope_{at} = {OPEN}" if opens else ""
        # Where scopes close, this one may be left for a later one; else only the first counts.
        passed = f" :: scope_{at} == {WAITING} -> skip" if opens and (policy.before or policy.until) else ""
        if not inside and not begin:
            return ""
        return f"if :: scope_{at} == {OPEN} -> {inside or 'skip'}{begin}{passed} :: else fi"

    def at_end(self) -> str:
        """The conversation is over: what has still to come does not."""
        judged = "" if self.policy.before else self._judged("end")
        return f"if :: scope_{self.number} == {OPEN} -> {judged}skip :: else fi" if judged else ""

    def _judged(self, when: str) -> str:
        """A stretch ends: what it owed is missing; and what a `before` scope kept to itself until now is told."""
        kept_back = f"== {LOST}" if when == "close" else ""
        owing = {"existence": "== 0", "response": "== 1"}.get(self.policy.pattern, kept_back)
        return f"if :: been_{self.number} {owing} -> {self.broken()} :: else fi; " if owing else ""

    def _lost(self) -> str:
        """For good; in a `before` scope only if it closes."""
        return f"been_{self.number} = {LOST}" if self.policy.before else self.broken()

    def _inside(self, word: str) -> str:
        at, policy = self.number, self.policy
        subject = word in self.meant(policy.never or policy.must or policy.every)
        match policy.pattern:
            case "absence":
                return self._lost() if subject else ""
            case "existence":
                return f"been_{at} = 1" if subject else ""
            case "response":
                if subject:
                    return f"been_{at} = 1"
                return f"been_{at} = 0" if word in self.meant(policy.then) else ""
            case "bounded":
                return "; ".join(self._counted(word))
            case "precedence":
                return "; ".join(self._preceded(word, subject))
        return ""

    def _counted(self, word: str) -> Iterator[str]:
        for place, (counted, most) in enumerate(self.policy.at_most.items()):
            times = f"times_{self.number}_{place}"
            if word in self.meant((counted,)):
                yield f"if :: {times} < {most} -> {times}++ :: else -> {self._lost()} fi"

    def _preceded(self, word: str, subject: bool) -> Iterator[str]:
        at, stages = self.number, self.policy.unless_before
        if subject:
            reset = f"been_{at} = 0" if self.policy.each else "skip"
            yield (
                f"if :: been_{at} < {len(stages)} -> {self._lost()} :: been_{at} == {len(stages)} -> {reset} :: else fi"
            )
        on = [place for place, stage in enumerate(stages) if word in self.meant(stage)]
        steps = "".join(f" :: been_{at} == {place} -> been_{at} = {place + 1}" for place in on)
        if steps:
            yield f"if{steps} :: else fi"


def macros(watchers: Iterable[Watcher], names: Mapping[str, str]) -> Iterator[str]:
    """Each word that the policies speak of, as a macro of that name; `names` gives it."""
    every = tuple(watchers)
    for word, name in names.items():
        parts = [done for one in every if word in one.words and (done := one.on(word))]
        if word.startswith("end:"):
            parts += [done for one in every if (done := one.at_end())]
        yield f"#define {name} {'; '.join((*parts, 'skip'))} /* {word} */"
