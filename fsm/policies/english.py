"""A policy in English, for whoever signs it."""

import re
from collections.abc import Iterable, Iterator

from ...contracts.flow import Flow
from ...contracts.policies import Policy
from ..wording import counted, joined
from .words import said


def policy_lines(flow: Flow) -> Iterator[str]:
    """All policies of a flow, each with its rule."""
    if flow.policies:
        yield from ("", "POLICIES")
    for policy in flow.policies:
        yield f"{policy.name}: {policy.says}"
        enforced = " A step that would break it is refused; the rows alone need not keep it." if policy.enforced else ""
        yield f"  {rule_of(policy)}{enforced}"


def rule_of(policy: Policy) -> str:
    """The rule as one sentence, from what is checked: *Never asking refund, unless before it the decision yes in
    review.*"""
    sentence = f"{_scope(policy)}{_pattern(policy)}"
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _scope(policy: Policy) -> str:
    opens, closes = one_of(policy.after), one_of(policy.before or policy.until)
    if policy.after and policy.before:
        return f"between each {opens} and the next {closes}: "
    if policy.after and policy.until:
        return f"from each {opens} until {any_of(policy.until)}: "
    if policy.after:
        return f"after the first {opens}: "
    if policy.before:
        return f"before the first {closes}, where it comes: "
    return f"until the first {closes}: " if policy.until else ""


def _pattern(policy: Policy) -> str:
    match policy.pattern:
        case "absence":
            return f"never {any_of(policy.never)}"
        case "precedence":
            stages = " and then ".join(any_of(stage) for stage in policy.unless_before)
            anew = ", anew each time" if policy.each else ""
            return f"never {any_of(policy.never)}, unless before it {stages}{anew}"
        case "existence":
            return f"{any_of(policy.must)} at least once"
        case "bounded":
            return joined(f"{said(word)} at most {counted(most, 'time')}" for word, most in policy.at_most.items())
        case "response":
            return f"each {one_of(policy.every)} is followed by {any_of(policy.then)}"
        case _:
            return "no rule"


def one_of(words: Iterable[str]) -> str:
    """Without an article: what follows `each`, `first` and `next`."""
    return joined((re.sub("^(an?|the) ", "", said(word)) for word in words), "or")


def any_of(words: Iterable[str]) -> str:
    return joined((said(word) for word in words), "or")
