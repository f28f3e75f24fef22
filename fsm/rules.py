"""Rules: phrases and patterns of the flow, looked for in a message."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ..contracts.errors import FlowError
from ..contracts.flow import RuleSpec
from ..contracts.routing import RuleHit
from ..contracts.values import printable


def rule_hits(rules: Iterable[RuleSpec], text: str) -> tuple[RuleHit, ...]:
    """The rules that match, in the flow's order; of each rule the first phrase or pattern that does."""
    plain = folded(text)
    found = ((rule.label, _matched(rule, text, plain)) for rule in rules)
    return tuple(RuleHit(label=label, rule=printable(named)) for label, named in found if named is not None)


@dataclass(frozen=True, slots=True)
class _Compiled:
    phrases: tuple[tuple[str, re.Pattern[str]], ...]
    patterns: tuple[tuple[str, re.Pattern[str]], ...]


@lru_cache(maxsize=2048)
def _compiled(rule: RuleSpec) -> _Compiled:
    try:
        return _Compiled(
            tuple((phrase, _whole_words(phrase)) for phrase in rule.any),
            tuple((pattern, re.compile(pattern, re.IGNORECASE)) for pattern in rule.patterns),
        )
    except re.error as error:
        raise FlowError(
            f"A pattern of the rule for {rule.label!r} is not a regular expression: {error}.",
            fix="Mend the pattern, or write it as a phrase under `any`.",
        ) from error


def _whole_words(phrase: str) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in folded(phrase).split())
    return re.compile(rf"(?<!\w){words}(?!\w)")


def _matched(rule: RuleSpec, text: str, plain: str) -> str | None:
    compiled = _compiled(rule)
    for phrase, pattern in compiled.phrases:
        if pattern.search(plain):
            return phrase
    return next((written for written, pattern in compiled.patterns if pattern.search(text)), None)


def folded(text: str) -> str:
    """Without case, and with the apostrophe that telephones write made the plain one."""
    return text.casefold().replace("\u2019", "'")
