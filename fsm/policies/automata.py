"""A policy compiled to the smallest automaton that judges it: total, deterministic, and the same for the same rule.

A pattern is a few numbers that words change; a scope says when they begin, when they are judged and when they are
forgotten. Both together are explored, and states that no continuation tells apart become one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ...contracts.policies import Policy, Watch, Words

Verdict = Literal["holds", "broken", "pending"]
"""So far: `pending` holds now, and would be broken if the conversation ended now."""
MOST_STATES = 4_096
"""States of one automaton while it is made."""
Meanings = Callable[[str], frozenset[str]]
"""What a word as it is written stands for: itself, or the state entered and the tool asked of that name."""
BROKEN = -1
Inner = tuple[int, ...]
"""The numbers of a pattern: how far the stages are, what is owed, or how often each happened; `(BROKEN,)` for good."""


class Point(NamedTuple):
    """A state while the automaton is made. `applied`: the scope was open and what the rule is about happened in it."""

    scope: Literal["waiting", "open", "closed", "broken"]
    inner: Inner = ()
    tried: bool = False
    applied: bool = False


@dataclass(frozen=True)
class Roles:
    """A policy's words, by what they mean to it."""

    policy: Policy
    subject: frozenset[str]
    """What the pattern is about: `never`, `must`, `every`."""
    stages: tuple[frozenset[str], ...]
    then: frozenset[str]
    counted: tuple[tuple[frozenset[str], int], ...]
    opens: frozenset[str]
    closes: frozenset[str]

    @property
    def words(self) -> frozenset[str]:
        counted = (one for one, _ in self.counted)
        return frozenset().union(self.subject, *self.stages, self.then, *counted, self.opens, self.closes)


def as_written(word: str) -> frozenset[str]:
    """What a word means where no flow says which names are states and which are tools."""
    return frozenset({word}) if ":" in word or word == "message" else frozenset({f"enter:{word}", f"tool:{word}"})


def roles_of(policy: Policy, meanings: Meanings = as_written) -> Roles:
    def meant(words: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*(meanings(word) for word in words))

    subject: Words = policy.never or policy.must or policy.every
    return Roles(
        policy=policy,
        subject=meant(subject),
        stages=tuple(meant(stage) for stage in policy.unless_before),
        then=meant(policy.then),
        counted=tuple((meanings(word), most) for word, most in policy.at_most.items()),
        opens=meant(policy.after),
        closes=meant(policy.before or policy.until),
    )


def automaton(policy: Policy, meanings: Meanings = as_written) -> Watch:
    """The smallest automaton of a policy, its states numbered by when they are first reached over sorted words."""
    roles = roles_of(policy, meanings)
    points, steps = _explored(roles)
    return _watch(policy.name, _smallest(points, steps, lambda one: (_is_broken(one), _is_pending(roles, one))), roles)


def applies(policy: Policy, meanings: Meanings = as_written) -> Watch:
    """The automaton that tells whether the policy had anything to say: its `pending` states are those where it had."""
    roles = roles_of(policy, meanings)
    points, steps = _explored(roles)
    found = _smallest(points, steps, lambda one: (False, one.applied or _is_broken(one)))
    return _watch(policy.name, found, roles)


def verdict_of(watch: Watch, state: int) -> Verdict:
    if state in watch.bad:
        return "broken"
    return "pending" if state in watch.pending else "holds"


def _first(roles: Roles) -> Point:
    if roles.opens:
        return Point("waiting")
    at_once, certain = roles.policy.pattern == "existence", not roles.policy.before
    return Point("open", _began(roles), at_once and not certain, at_once and certain)


def _began(roles: Roles) -> Inner:
    """The pattern where its scope opens: nothing has happened."""
    return (0,) * max(1, len(roles.counted))


def _step(roles: Roles, here: Point, word: str) -> Point:
    """After one more word. What closes a scope comes before what opens one, and neither lies in it."""
    if here.scope in ("closed", "broken"):
        return here
    judged = here
    if here.scope == "open" and word in roles.closes:
        if here.inner == (BROKEN,) or _owes(roles, here.inner):
            return Point("broken")
        applied = here.applied or here.tried
        judged = Point("waiting" if roles.opens else "closed", applied=applied)
    elif here.scope == "open":
        judged = _inside(roles, here, word)
    if word in roles.opens and judged.scope in ("waiting", "open"):
        return _opened(roles, judged)
    return judged


def _inside(roles: Roles, here: Point, word: str) -> Point:
    inner = _happened(roles, here.inner, word)
    certain = not roles.policy.before
    tried = here.tried or word in roles.subject or any(word in words for words, _ in roles.counted)
    if inner == (BROKEN,) and certain:
        return Point("broken")
    return Point("open", inner, tried and not certain, here.applied or (tried and certain))


def _opened(roles: Roles, here: Point) -> Point:
    """The scope opens, or opens anew within itself: then what is furthest from holding is what counts."""
    at_once = roles.policy.pattern == "existence"
    certain = not roles.policy.before
    tried, applied = here.tried or (at_once and not certain), here.applied or (at_once and certain)
    if here.scope == "waiting":
        return Point("open", _began(roles), tried, applied)
    if not roles.closes:
        return here
    restarts = roles.policy.pattern in ("existence", "precedence") and here.inner != (BROKEN,)
    return Point("open", _began(roles) if restarts else here.inner, tried, applied)


def _happened(roles: Roles, inner: Inner, word: str) -> Inner:
    """The pattern's numbers after a word inside the scope."""
    if inner == (BROKEN,):
        return inner
    match roles.policy.pattern:
        case "absence":
            return (BROKEN,) if word in roles.subject else inner
        case "precedence":
            return _preceded(roles, inner[0], word)
        case "existence":
            return (1,) if word in roles.subject else inner
        case "response":
            owed = word in roles.subject or (inner[0] == 1 and word not in roles.then)
            return (int(owed),)
        case "bounded":
            counts = tuple(number + (word in words) for number, (words, _) in zip(inner, roles.counted, strict=True))
            over = any(number > most for number, (_, most) in zip(counts, roles.counted, strict=True))
            return (BROKEN,) if over else counts
        case _:
            return inner


def _preceded(roles: Roles, stage: int, word: str) -> Inner:
    """What `never` names needs every stage before it; a word that is both is judged first."""
    if word in roles.subject:
        if stage < len(roles.stages):
            return (BROKEN,)
        stage = 0 if roles.policy.each else stage
    if stage < len(roles.stages) and word in roles.stages[stage]:
        stage += 1
    return (stage,)


def _owes(roles: Roles, inner: Inner) -> bool:
    """Whether something has still to happen before the scope ends."""
    match roles.policy.pattern:
        case "existence":
            return inner == (0,)
        case "response":
            return inner == (1,)
        case _:
            return False


def _is_broken(point: Point) -> bool:
    return point.scope == "broken"


def _is_pending(roles: Roles, point: Point) -> bool:
    return point.scope == "open" and not roles.policy.before and _owes(roles, point.inner)


Steps = Mapping[str, list[int]]


def _explored(roles: Roles) -> tuple[list[Point], Steps]:
    """Every state that words lead to, and where each word leads from it."""
    words = sorted(roles.words)
    points = [_first(roles)]
    index = {points[0]: 0}
    steps: dict[str, list[int]] = {word: [] for word in words}
    at = 0
    while at < len(points):
        if len(points) > MOST_STATES:
            raise TooLarge(roles.policy.name)
        for word in words:
            there = _step(roles, points[at], word)
            if there not in index:
                index[there] = len(points)
                points.append(there)
            steps[word].append(index[there])
        at += 1
    return points, steps


class TooLarge(Exception):
    """An automaton would have more than `MOST_STATES` states."""


def _smallest(
    points: list[Point], steps: Steps, tells: Callable[[Point], tuple[bool, bool]]
) -> tuple[dict[str, tuple[int, ...]], list[tuple[bool, bool]]]:
    """The states that some continuation tells apart (Moore, 1956), numbered breadth first."""
    block = _numbered([tells(one) for one in points])
    while True:
        finer = _numbered([(block[at], *(block[row[at]] for row in steps.values())) for at in range(len(points))])
        if max(finer) == max(block):
            break
        block = finer
    order, chosen = {block[0]: 0}, [0]
    for at in chosen:
        for row in steps.values():
            if block[row[at]] not in order:
                order[block[row[at]]] = len(chosen)
                chosen.append(row[at])
    found = {word: tuple(order[block[row[at]]] for at in chosen) for word, row in steps.items()}
    return found, [tells(points[at]) for at in chosen]


def _numbered(keys: list[tuple[object, ...]]) -> list[int]:
    numbers: dict[tuple[object, ...], int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _watch(name: str, smallest: tuple[dict[str, tuple[int, ...]], list[tuple[bool, bool]]], roles: Roles) -> Watch:
    steps, told = smallest
    return Watch(
        name=name,
        steps={word: row for word, row in steps.items() if row != tuple(range(len(told)))},
        bad=tuple(at for at, (broken, _) in enumerate(told) if broken),
        pending=tuple(at for at, (_, owed) in enumerate(told) if owed),
    )
