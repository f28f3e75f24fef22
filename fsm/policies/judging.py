"""All policies of a flow together: what their automata are, and which of them some order of events keeps or breaks."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from ...contracts.flow import Flow
from ...contracts.policies import Policy, Watch
from .automata import automaton
from .words import meanings_of, words_in, words_of

MOST_LOOKED_AT = 20_000
"""States of several automata together; past this many they are taken to be kept by something."""
States = tuple[int, ...]


def watches_of(flow: Flow) -> tuple[Watch, ...]:
    """The automaton of every policy, in their order."""
    meanings = meanings_of(flow)
    return tuple(automaton(policy, meanings) for policy in flow.policies)


def after(watches: Sequence[Watch], states: States, words: Sequence[str]) -> States:
    for word in words:
        states = tuple([watch.step(state, word) for watch, state in zip(watches, states, strict=True)])
    return states


def broken_among(watches: Sequence[Watch], states: States, *, ended: bool = False) -> tuple[int, ...]:
    """Which are broken; with `ended`, also those that still wait for something."""
    return tuple(
        [
            at
            for at, (watch, state) in enumerate(zip(watches, states, strict=True))
            if state in watch.bad or (ended and state in watch.pending)
        ]
    )


def _itself(word: str) -> frozenset[str]:
    return frozenset({word})


def _needed(flow: Flow) -> dict[str, tuple[frozenset[str], ...]]:
    """What must have happened before a word: for each, any of the words of a set."""
    brought: dict[str, set[str]] = {}
    for state in flow.states:
        for word in words_of(flow, state):
            if word.partition(":")[0] in ("decided", "confirmed", "tool", "approved", "done") or word == (
                f"result:{state.name}"
            ):
                brought.setdefault(word, set()).add(f"enter:{state.name}")
    found: dict[str, tuple[frozenset[str], ...]] = {word: (frozenset(states),) for word, states in brought.items()}
    for word, states in brought.items():
        kind, _, name = word.partition(":")
        if kind == "done":
            found[word] = (frozenset(states), frozenset({f"tool:{name}"}))
    return found


class Orders:
    """Every order in which the words of a flow could come, whatever its rows say: the initial state is entered first,
    and a final state last."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.finals = tuple(one.name for one in flow.states if one.kind == "final")
        last = {f"{kind}:{name}" for name in self.finals for kind in ("enter", "end")}
        self.words = words_in(flow) - last
        self._before = _needed(flow)

    def states_of(self, watches: Sequence[Watch]) -> Iterator[States]:
        """What the automata can come to before the end, without a broken one."""
        words = sorted(self.words & {word for watch in watches for word in watch.steps})
        first = after(watches, (0,) * len(watches), (f"enter:{self.flow.initial}",))
        found, todo = {first}, [first]
        while todo and len(found) < MOST_LOOKED_AT:
            here = todo.pop()
            if broken_among(watches, here):
                continue
            yield here
            for word in words:
                there = after(watches, here, (word,))
                if there not in found:
                    found.add(there)
                    todo.append(there)

    def ended(self, watches: Sequence[Watch], states: States, final: str) -> tuple[int, ...]:
        """Which are broken where the conversation goes to this final state now."""
        return broken_among(watches, after(watches, states, (f"enter:{final}", f"end:{final}")), ended=True)

    def needs(self, watches: Sequence[Watch]) -> tuple[Watch, ...]:
        """What their words need before them, as automata: a decision needs its state entered, a result its tool asked.
        Where something else that the policies do not speak of would do as well, there is nothing to keep."""
        words = {word for watch in watches for word in watch.steps}
        return tuple(
            automaton(Policy(name="needed", never=(word,), unless_before=(tuple(sorted(any_of)),)), _itself)
            for word in sorted(words)
            for any_of in self._before.get(word, ())
            if any_of <= words and word not in any_of
        )

    def can_keep(self, watches: Sequence[Watch]) -> bool:
        """Whether some order comes to an end with all of them kept."""
        needs = self.needs(watches)
        return self._can_keep(watches) and (not needs or self._can_keep((*watches, *needs)))

    def _can_keep(self, watches: Sequence[Watch]) -> bool:
        looked_at = 0
        for states in self.states_of(watches):
            looked_at += 1
            if any(not self.ended(watches, states, final) for final in self.finals):
                return True
        return looked_at >= MOST_LOOKED_AT // 2

    def can_break(self, watch: Watch) -> bool:
        """Whether some order breaks it."""
        first = after((watch,), (0,), (f"enter:{self.flow.initial}",))
        if broken_among((watch,), first):
            return True
        words = self.words & watch.steps.keys()
        for states in self.states_of((watch,)):
            if any(broken_among((watch,), after((watch,), states, (word,))) for word in words):
                return True
            if any(self.ended((watch,), states, final) for final in self.finals):
                return True
        return False

    def contradictions(self, watches: Sequence[Watch]) -> Iterator[tuple[int, ...]]:
        """Smallest groups that no conversation can keep together."""
        alone = [at for at, watch in enumerate(watches) if not self.can_keep((watch,))]
        yield from ((at,) for at in alone)
        others = [at for at in range(len(watches)) if at not in alone]
        pairs = [pair for pair in combinations(others, 2) if not self.can_keep([watches[at] for at in pair])]
        yield from pairs
        if not alone and not pairs and not self.can_keep(watches):
            group = list(others)
            for at in others:
                fewer = [one for one in group if one != at]
                if not self.can_keep([watches[one] for one in fewer]):
                    group = fewer
            yield tuple(group)
