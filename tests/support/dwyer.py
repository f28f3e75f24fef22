"""Dwyer's patterns and scopes by their definitions, over a finished trace of words: slow, plain, and sharing nothing
with the automata. A scope is a list of stretches of the trace, without the events that delimit them."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from interlock.contracts.policies import Policy

Trace = Sequence[str]


def means(word: str) -> set[str]:
    return {word} if ":" in word or word == "message" else {f"enter:{word}", f"tool:{word}"}


Means = Callable[[str], Iterable[str]]


def any_of(words: Sequence[str], means: Means) -> set[str]:
    return {one for word in words for one in means(word)}


def stretches(policy: Policy, trace: Trace, means: Means = means) -> Iterator[tuple[Trace, bool]]:
    """Each stretch in which the pattern must hold, and whether it was closed (or else the conversation ended)."""
    opens, closes = any_of(policy.after, means), any_of(policy.before or policy.until, means)
    starts = [at + 1 for at, word in enumerate(trace) if word in opens] if opens else [0]
    for start in starts if closes else starts[:1]:
        end = next((at for at in range(start, len(trace)) if trace[at] in closes), None)
        if end is not None:
            yield trace[start:end], True
        elif not policy.before:
            yield trace[start:], False


def holds_in(policy: Policy, trace: Trace, means: Means = means) -> bool:
    """The pattern, over one stretch."""
    subject = any_of(policy.never or policy.must or policy.every, means)
    at = [place for place, word in enumerate(trace) if word in subject]
    match policy.pattern:
        case "absence":
            return not at
        case "existence":
            return bool(at)
        case "bounded":
            return all(sum(word in means(one) for word in trace) <= most for one, most in policy.at_most.items())
        case "response":
            then = any_of(policy.then, means)
            return all(any(word in then for word in trace[place + 1 :]) for place in at)
        case "precedence":
            begins = [0, *at] if policy.each else [0] * (len(at) + 1)
            return all(in_order(policy, trace[begins[number] : place], means) for number, place in enumerate(at))
    raise AssertionError(policy)


def in_order(policy: Policy, trace: Trace, means: Means) -> bool:
    """Whether some places in the stretch, one after another, hold the stages in their order."""

    def from_(start: int, stage: int) -> bool:
        if stage == len(policy.unless_before):
            return True
        wanted = any_of(policy.unless_before[stage], means)
        return any(trace[at] in wanted and from_(at + 1, stage + 1) for at in range(start, len(trace)))

    return from_(0, 0)


def lost(policy: Policy, trace: Trace, means: Means = means) -> bool:
    """Broken for good: closed stretches that do not hold, and open ones that a word has already broken."""
    for stretch, closed in stretches(policy, trace, means):
        if closed and not holds_in(policy, stretch, means):
            return True
        safe = policy.pattern in ("absence", "bounded", "precedence")
        if not closed and safe and not holds_in(policy, stretch, means):
            return True
    return False


def holds(policy: Policy, trace: Trace, means: Means = means) -> bool:
    """The whole rule, of a conversation that has ended."""
    return all(holds_in(policy, stretch, means) for stretch, _ in stretches(policy, trace, means))


def applied(policy: Policy, trace: Trace, means: Means = means) -> bool:
    """Whether the rule had anything to say: a stretch in which what it is about happened."""
    about = any_of(policy.never or policy.must or policy.every, means) | {
        one for word in policy.at_most for one in means(word)
    }
    found = list(stretches(policy, trace, means))
    if policy.pattern == "existence":
        return bool(found)
    return any(word in about for stretch, _ in found for word in stretch)
